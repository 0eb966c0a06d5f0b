//! The views as a whole: which generation is live, how far it is, and how to build another beside it.
//!
//! Opened by `server`; `api` and the workers read through [`Views::db`], `runtime` writes through the
//! [`Projection`].

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use wharf_domain::{kernel::Position, ports::Vault};

use crate::{Db, Error, Projection, generation::Files};

/// The views. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
}

/// What the views and the projections of all generations share.
pub(crate) struct Shared {
    files: Files,
    pub(crate) vault: Arc<dyn Vault>,
    live: ArcSwap<Db>,
    published: watch::Sender<Published>,
    /// The number of the newest generation.
    newest: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Published {
    generation: u64,
    position: Position,
}

/// The views did not get there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the views are only at position {at}; ask again in a moment")]
pub struct Lagging {
    /// How far they are.
    pub at: Position,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views")
            .field("published", &*self.shared.published.borrow())
            .finish_non_exhaustive()
    }
}

impl Views {
    /// Opens the views in `dir`, and the writer of the live generation. Where there is none, or one of
    /// another [`VERSION`](crate::VERSION), an empty one begins. Generations that are not live are
    /// deleted. Only one process may open a directory.
    ///
    /// # Errors
    /// The files cannot be used.
    pub async fn open(dir: &Path, vault: Arc<dyn Vault>) -> Result<(Self, Projection), Error> {
        let files = Files::new(dir);
        let usable = match files.current().await? {
            Some(number) => files.open(number).await?.map(|opened| (number, opened)),
            None => None,
        };
        let (number, opened) = match usable {
            Some(usable) => usable,
            None => {
                let number = files.newest().await? + 1;
                let opened = files.create(number).await?;
                files.set_current(number).await?;
                (number, opened)
            }
        };
        files.sweep(number).await?;
        let live = Db::open(&files.path(number));
        let (published, _) = watch::channel(Published {
            generation: number,
            position: opened.1,
        });
        let shared = Arc::new(Shared {
            files,
            vault,
            live: ArcSwap::from_pointee(live),
            published,
            newest: AtomicU64::new(number),
        });
        let projection = Projection::new(number, opened, Arc::clone(&shared));
        Ok((Self { shared }, projection))
    }

    /// How far the views in `dir` are, without opening them for writing: for commands that look while
    /// a hub runs. `None` if they will be built anew at the next start.
    ///
    /// # Errors
    /// The files cannot be read.
    pub async fn peek(dir: &Path) -> Result<Option<Position>, Error> {
        Files::new(dir).peek().await
    }

    /// How far the live generation is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.published.borrow().position
    }

    /// Returns once the live generation has reached `position`.
    ///
    /// # Errors
    /// [`Lagging`] after `deadline`.
    pub async fn wait_for(&self, position: Position, deadline: Duration) -> Result<(), Lagging> {
        let mut published = self.shared.published.subscribe();
        let reached = published.wait_for(|published| published.position >= position);
        match tokio::time::timeout(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Lagging {
                at: self.position(),
            }),
        }
    }

    /// The live generation, to read. Ask anew for each request: a swap replaces it.
    #[must_use]
    pub fn db(&self) -> Arc<Db> {
        self.shared.live.load_full()
    }

    /// An empty generation beside the live one. Bring it to the live one's checkpoint, then
    /// [`Self::swap`]; if it is dropped before, its files are deleted at the next start.
    ///
    /// # Errors
    /// The files cannot be used.
    pub async fn begin_rebuild(&self) -> Result<Projection, Error> {
        let number = self.shared.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let opened = self.shared.files.create(number).await?;
        Ok(Projection::new(number, opened, Arc::clone(&self.shared)))
    }

    /// Makes the generation of `new` the live one. From then on the projection that was live answers
    /// [`Error::Superseded`], and its files go once nobody reads them.
    ///
    /// Nothing may be applied to the live projection meanwhile: the one loop that owns both catches up
    /// with `new`, then swaps.
    ///
    /// # Errors
    /// [`Error::Behind`] if readers would see the views go back; [`Error::Superseded`] if a newer
    /// generation went live meanwhile; the files cannot be used.
    pub async fn swap(&self, new: &Projection) -> Result<(), Error> {
        if self.shared.live_generation() > new.number() {
            return Err(Error::Superseded);
        }
        let live = self.position();
        if new.checkpoint() < live {
            return Err(Error::Behind {
                live,
                new: new.checkpoint(),
            });
        }
        let number = new.number();
        let db = Db::open(&self.shared.files.path(number));
        self.shared.files.set_current(number).await?;
        let old = self.shared.live.swap(Arc::new(db));
        old.retire();
        self.shared.published.send_replace(Published {
            generation: number,
            position: new.checkpoint(),
        });
        Ok(())
    }
}

impl Shared {
    pub(crate) fn live_generation(&self) -> u64 {
        self.published.borrow().generation
    }

    /// Tells those who wait, if `generation` is the live one.
    pub(crate) fn publish(&self, generation: u64, position: Position) {
        self.published.send_if_modified(|published| {
            let live = published.generation == generation;
            if live {
                published.position = position;
            }
            live
        });
    }
}
