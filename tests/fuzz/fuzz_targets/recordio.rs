//! See `meseta_tests::fuzz::recordio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meseta_tests::fuzz::recordio(data));
