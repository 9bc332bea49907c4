//! The clock, as bench/c/measure.h is that of the programs in C.

use std::time::{Duration, Instant};

/// How long one figure is measured.
pub fn time() -> Duration {
    let milliseconds = std::env::var("XMEM_BENCH_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(milliseconds.unwrap_or(100.0) / 1e3)
}

/// Nanoseconds of one operation: the median of the batches of about 200 us, or of one operation.
pub fn nanoseconds(mut batch: impl FnMut(u64)) -> f64 {
    let room = time();
    let mut count = 1;
    let warm_until = Instant::now() + room / 2;
    loop {
        let start = Instant::now();
        batch(count);
        if Instant::now() > warm_until {
            break;
        }
        if start.elapsed() < Duration::from_micros(200) {
            count *= 2;
        }
    }
    let mut took = Vec::new();
    let until = Instant::now() + room;
    while took.len() < 3 || Instant::now() < until {
        let start = Instant::now();
        batch(count);
        took.push(start.elapsed().as_nanos() as f64 / count as f64);
    }
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
