//! Every metric of the process: its name, kind, unit, labels and meaning. The only list there is.
//!
//! `start_metrics` registers from it, `wharf metrics` prints it, `docs/operations/metrics.md` is what that
//! prints, and tests hold a scraped hub, the dashboard and the alerts to it. Each crate still counts where
//! things happen, by the names that are written here.
//!
//! - `list` is the catalogue; a new metric is an entry there, a panel and, if need be, an alert.
//! - `metric` is what an entry says, `print` what people read of it.

mod list;
mod metric;
mod print;

pub use list::{METRICS, event_types, find};
pub use metric::{Kind, Label, Metric, Unit, Values};
pub use print::markdown;
