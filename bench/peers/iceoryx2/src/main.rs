//! iceoryx2 in the suite: a sample loaned and dropped, alone and with others; a sample that goes to
//! another process and back; and frames that another process sums. Both sides look without a pause
//! for the next sample, which is the fastest that iceoryx2 does.

mod contend;
mod frames;
mod hand_over;
mod measure;

use core::mem::MaybeUninit;

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;

pub type Out = Publisher<ipc::Service, [u8], ()>;
pub type In = Subscriber<ipc::Service, [u8], ()>;

/// What is in the middle of one direction: at most `depth` samples wait there.
pub struct Ends {
    node: Node<ipc::Service>,
}

impl Ends {
    pub fn new() -> Self {
        set_log_level(LogLevel::Fatal);
        Ends { node: NodeBuilder::new().create::<ipc::Service>().expect("node") }
    }

    fn service(
        &self,
        name: &str,
        depth: usize,
    ) -> iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()> {
        self.node
            .service_builder(&name.try_into().expect("name"))
            .publish_subscribe::<[u8]>()
            .payload_alignment(Alignment::new(64).expect("alignment"))
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(depth)
            .max_publishers(16)
            .open_or_create()
            .expect("service")
    }

    pub fn publish(&self, name: &str, size: usize, depth: usize) -> Out {
        self.service(name, depth)
            .publisher_builder()
            .initial_max_slice_len(size)
            .create()
            .expect("publisher")
    }

    pub fn subscribe(&self, name: &str, depth: usize) -> In {
        self.service(name, depth).subscriber_builder().create().expect("subscriber")
    }
}

pub fn next(from: &In) -> Sample<ipc::Service, [u8], ()> {
    loop {
        if let Some(sample) = from.receive().expect("receive") {
            return sample;
        }
    }
}

/// Loans a sample, lets `write` write in it, and sends it.
pub fn send(to: &Out, size: usize, write: impl FnOnce(&mut [MaybeUninit<u8>])) {
    let mut sample = to.loan_slice_uninit(size).expect("loan");
    write(sample.payload_mut());
    // SAFETY: its readers look only at what `write` wrote.
    let sample = unsafe { sample.assume_init() };
    sample.send().expect("send");
}

pub fn loan_and_drop(out: &Out, count: u64) {
    for i in 0..count {
        let mut sample = out.loan_slice_uninit(4096).expect("loan");
        sample.payload_mut()[0].write(i as u8);
        core::hint::black_box(&mut sample);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = |place: usize| arguments.get(place).map(String::as_str).unwrap_or("");
    let sizes = || arguments[2..].iter().map(|size| size.parse().expect("size")).collect();
    match text(1) {
        "acquire" => {
            let out = Ends::new().publish(&format!("bench.{}", std::process::id()), 4096, 2);
            let took = measure::nanoseconds(|count| loan_and_drop(&out, count));
            println!("{{\"ns\": {took:.3}}}");
        }
        "contend" => contend::all(),
        "contender" => contend::one(text(2)),
        "hand-over" => hand_over::all(sizes()),
        "echo" => hand_over::echo(text(2), text(3).parse().expect("size")),
        "throughput" => frames::produce(text(2).parse().expect("count")),
        "consume" => frames::consume(text(2), text(3).parse().expect("count")),
        other => panic!("{other}?"),
    }
}
