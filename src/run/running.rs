use std::process::Child;

/// A running simulator that does not outlive its owner.
pub(super) struct Running(pub(super) Child);

impl Running {
    /// Ends it; its status is there to be waited for.
    pub(super) fn stop(&mut self) {
        // It may have ended by itself just now.
        let _ = self.0.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        let _ = self.0.wait();
    }
}
