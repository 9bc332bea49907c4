//! A sample that goes to another process, and one of the same size that comes back.

use std::process::Command;

use crate::{Ends, next, send};

pub fn all(sizes: Vec<usize>) {
    let mut figures = Vec::new();
    for size in sizes {
        let name = format!("bench.{}.{size}", std::process::id());
        let ends = Ends::new();
        let from = ends.subscribe(&format!("{name}.back"), 4);
        let to = ends.publish(&name, size, 4);
        let mut child = Command::new(std::env::current_exe().expect("self"))
            .args(["echo", &name, &size.to_string()])
            .spawn()
            .expect("echo");
        // Its first sample says that it is there.
        drop(next(&from));
        let took = crate::measure::nanoseconds(|count| {
            for i in 0..count {
                send(&to, size, |bytes| {
                    bytes[0].write(i as u8);
                });
                assert_eq!(next(&from).payload()[0], i as u8);
            }
        });
        child.kill().expect("kill");
        child.wait().expect("wait");
        figures.push(format!("\"{size}\": {:.4}", took / 1e3));
    }
    println!("{{{}}}", figures.join(", "));
}

pub fn echo(name: &str, size: usize) {
    let ends = Ends::new();
    let from = ends.subscribe(name, 4);
    let to = ends.publish(&format!("{name}.back"), size, 4);
    send(&to, size, |bytes| {
        bytes[0].write(0);
    });
    loop {
        let first = next(&from).payload()[0];
        send(&to, size, |bytes| {
            bytes[0].write(first);
        });
    }
}
