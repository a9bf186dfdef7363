//! The suite of [`pieceful_tests::conformance`], run on both drivers, on the simulator, and on the driver that is an
//! example for those who write their own.

#[path = "../../runtime-std/examples/poll/conn.rs"]
mod conn;
#[path = "../../runtime-std/examples/poll/driver.rs"]
mod example;
mod ours;
mod poll;

pieceful_tests::conforms!(std_driver, pieceful_tests::conformance::Real<crate::ours::Std>);
pieceful_tests::conforms!(smol_driver, pieceful_tests::conformance::Real<crate::ours::Smol>);
pieceful_tests::conforms!(poll_driver, pieceful_tests::conformance::Real<crate::poll::Poll>);
pieceful_tests::conforms!(simulator, pieceful_tests::conformance::Simulated);
