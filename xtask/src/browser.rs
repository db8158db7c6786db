//! A browser to open reports in, for the test that does.

use std::process::{Command, Stdio};

use crate::process::find_program;

/// Installs Debian's Chromium where there is no browser and we may; says so where not. What needs it
/// leaves itself out then, and says that too.
pub(crate) fn install() {
    if ["chromium", "chromium-browser", "google-chrome", "chrome"]
        .iter()
        .any(|it| find_program(it).is_some())
    {
        return;
    }
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        let quiet = apt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|it| it.success())
    };
    let install = ["install", "-y", "-qq", "--no-install-recommends", "chromium"];
    match apt(&["update", "-qq"]) && apt(&install) {
        true => eprintln!("browser: installed Chromium"),
        false => eprintln!(
            "browser: there is none and none could be installed; reports are not opened in one"
        ),
    }
}
