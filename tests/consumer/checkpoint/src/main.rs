//! Keeps the last two of three checkpoints.

use std::{env, error::Error, fs, path::Path};

use pretrained_checkpoint::{Checkpoints, Retention};

fn main() -> Result<(), Box<dyn Error>> {
    let run = env::args().nth(1).ok_or("where to?")?;
    let run = Checkpoints::open(Path::new(&run))?;
    for step in [100, 200, 300] {
        run.save(step, |dir| fs::write(dir.join("weights"), step.to_string()))?;
        run.rotate(&Retention::save_total_limit(Some(2), None))?;
    }
    let latest = run.latest()?.checkpoint.ok_or("no checkpoint")?;
    println!("{} of {}", latest.step, run.list()?.len());
    Ok(())
}
