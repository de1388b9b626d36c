//! Pulsegate: the box that brings heart rate from the gym floor to the cloud, and never loses a beat.
//!
//! The map, in reading order. `docs/architecture.md` tells the story.
//!
//! - [`cli`], [`gateway`], [`config`]: from the command line to everything running, and back in order.
//! - [`exit`], [`log`], [`notify`], [`clock`], [`backoff`], [`secret`]: one small idea each.
//! - [`reading`], [`activity`], [`athlete`], [`workout`], [`intake`]: the facts, the people, and the one door in.
//! - [`timeline`], [`timekeeper`]: when each boot was, and who notes it.
//! - [`sensor`], [`ble`], [`simulate`]: bytes into measurements, over the air or made up. [`fit`], [`track`]: files into
//!   activities.
//! - [`buffer`]: one durable log, one cursor per sink. [`inspect`]: what operators ask of it.
//! - [`history`]: recorded activities and their bytes, and how files come in.
//! - [`normalize`], [`format`](mod@format), [`sink`]: on the way out.
//! - [`roster`]: who the athletes are, and who wears which strap. [`session`]: what heart rate means for the person.
//!   [`recorder`]: sessions, from the log into the history.
//! - [`archive`]: what the box knows of a person, for whoever tells backends.
//! - [`live`], [`web`]: what is true now, and the pages that show it.

pub mod cli;
pub mod config;
pub mod gateway;

pub mod backoff;
pub mod clock;
pub mod exit;
pub mod log;
pub mod notify;
pub mod secret;

pub mod activity;
pub mod athlete;
pub mod intake;
pub mod reading;
pub mod workout;

pub mod timekeeper;
pub mod timeline;

pub mod ble;
pub mod fit;
pub mod sensor;
pub mod simulate;
pub mod track;

pub mod buffer;
pub mod history;
pub mod inspect;

pub mod floor;
pub mod format;
pub mod normalize;
pub mod sink;

pub mod archive;
pub mod recorder;
pub mod roster;
pub mod session;

pub mod live;
pub mod web;
