//! Who may do what: the whole table.

use super::{Action, Caller, Forbidden, Role, authorize};

const ROLES: [Role; 4] = [Role::Viewer, Role::Member, Role::Admin, Role::Operator];
const ACTIONS: [Action; 4] = [Action::Read, Action::Run, Action::Manage, Action::Operate];

fn caller(role: Role) -> Caller {
    Caller {
        project: "acme".parse().unwrap(),
        subject: "alice".into(),
        role,
    }
}

#[test]
fn each_role_includes_the_ones_before_it_and_no_more() {
    for (have, role) in ROLES.into_iter().enumerate() {
        for (need, action) in ACTIONS.into_iter().enumerate() {
            let wanted = if have >= need {
                Ok(())
            } else {
                Err(Forbidden {
                    needed: ROLES[need],
                })
            };
            assert_eq!(authorize(&caller(role), action), wanted);
        }
    }
}

#[test]
fn roles_are_read_as_they_are_written() {
    for role in ROLES {
        let json = serde_json::to_string(&role).unwrap();
        assert_eq!(json.trim_matches('"').parse(), Ok(role));
    }
    assert_eq!("root".parse::<Role>(), Err(()));
    assert_eq!("Admin".parse::<Role>(), Err(()));
}

#[test]
fn commits_name_the_caller_as_a_user() {
    assert_eq!(caller(Role::Viewer).actor(), "user:alice");
}
