#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pieceful_fuzz::ut_metadata::run(data));
