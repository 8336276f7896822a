//! A store that speaks S3, in this process: s3s-fs, which checks every signature.

use std::path::PathBuf;

use axum::{Router, error_handling::HandleError, http::StatusCode};
use s3s::{HttpError, auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;

/// The one key that it knows.
pub(crate) const KEY: &str = "lab";
pub(crate) const SECRET: &str = "the lab's secret";

/// A store with a bucket `lab-cache`.
pub(crate) struct Store {
    pub(crate) host: String,
    directory: TempDir,
    // Its threads end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Store {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("lab-cache")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let refuse = |_: HttpError| async { StatusCode::INTERNAL_SERVER_ERROR };
        let app = Router::new().fallback_service(HandleError::new(builder.build(), refuse));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { host, directory, _runtime: runtime }
    }

    pub(crate) fn bucket(&self) -> PathBuf {
        self.directory.path().join("lab-cache")
    }
}
