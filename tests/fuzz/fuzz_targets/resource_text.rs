//! See `meseta_tests::fuzz::resource_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meseta_tests::fuzz::resource_text(data));
