//! A whole agent as a process of its own, with its helpers: what the tests start, kill and start again.
//!
//! SIGTERM leaves the tasks running, SIGUSR1 unregisters, SIGUSR2 ends all containers.

use meseta_agent::{AgentFlags, Config, Ended, Env, Running, start};
use meseta_types::flag::{Asked, Sources};
use std::error::Error;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    // The helpers must not find a runtime or a thread in their process.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("supervise") => meseta_containerizer::supervise::main(args),
        Some("fetch") => meseta_containerizer::fetch::main(args),
        _ => match agent() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        },
    }
}

fn agent() -> Result<ExitCode, Box<dyn Error>> {
    let Asked::Run(flags, _) = AgentFlags::parse(std::env::args().skip(1), &Sources::none())? else {
        return Err("only flags of an agent are understood".into());
    };
    let config = Config::from_flags(flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let running = start(config, Env::system()?).await?;
        println!("{}", running.address());
        obey(&running).await?;
        Ok::<_, Box<dyn Error>>(running.join().await)
    })?;
    Ok(match ended {
        Ended::Left | Ended::Stopped(_) => ExitCode::SUCCESS,
        Ended::Incompatible(text) | Ended::Failed(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    })
}

/// Passes signals on until the agent ends.
async fn obey(running: &Running) -> std::io::Result<()> {
    let on = |kind: SignalKind| -> std::io::Result<Signal> { signal(kind) };
    let (mut terminate, mut unregister, mut drain) = (
        on(SignalKind::terminate())?,
        on(SignalKind::user_defined1())?,
        on(SignalKind::user_defined2())?,
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => running.leave().await,
            _ = unregister.recv() => running.unregister().await,
            _ = drain.recv() => running.drain().await,
            () = running.ended() => return Ok(()),
        }
    }
}
