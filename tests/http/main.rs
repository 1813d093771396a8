//! Promises of the HTTP client of the flags workload; each file is one of them.
//!
//! The machine is tested without I/O, then its two drivers against servers that do exactly what a
//! script says, byte by byte. One program for all of them, so that TLS is linked once.

mod a_cut_answer_is_never_taken_for_whole;
mod a_fetch_is_over_by_its_deadline;
mod a_reused_connection_is_silent_or_replaced;
mod an_answer_is_the_same_however_it_is_split;
mod any_bytes_end_in_an_answer_or_an_error;
mod both_drivers_do_as_the_machine_says;
mod redirects_lead_to_an_answer_or_an_error;
mod tls_trusts_only_what_it_was_told_to;

mod support;
