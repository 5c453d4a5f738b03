//! The connection that reads beside the stream, as the stream's side sees it: what it is asked for
//! and what it answers.

use std::future::Future;

use tokio::sync::mpsc;
use wasmgate_model::{Fault, Retry};

use crate::work::TableItem;

/// What the connection is asked for; answers come in the same order.
#[derive(Debug)]
pub(super) enum Ask {
    /// To look at a table that is read from now on.
    Table { item: TableItem, surrogate: Option<String> },
    /// The next rows of it, after a key.
    Chunk { window: u64, from: Option<Vec<String>> },
    /// Marks around nothing: Debezium's last window of a snapshot.
    Marks,
}

/// What came of it.
pub enum Answer<R> {
    Table(Opened),
    Chunk(Chunk<R>),
    /// The table is not read; Debezium's word for why, and why.
    NotRead(&'static str, String),
    Marks,
    /// The connection is of no use any more.
    Failed(Fault),
}

/// A table as it was found.
#[derive(Debug)]
pub struct Opened {
    pub key: Vec<String>,
    /// `None`: it has no rows.
    pub max: Option<Vec<String>>,
    /// Rows by the server's statistics; -1: nobody knows.
    pub estimate: i64,
}

/// Rows that follow each other by key. `R`: the rows, with what they saw of the stream and from
/// where on the stream has told all of that.
pub struct Chunk<R> {
    pub window: u64,
    /// How many rows there are.
    pub count: u64,
    /// Key of the last of them.
    pub last: Option<Vec<String>>,
    /// There are no rows after them.
    pub end: bool,
    pub rows: R,
}

/// Reads tables in chunks.
pub trait Reader: Send {
    /// Rows of a chunk.
    type Rows: Send;

    /// Looks at a table that is read from now on; by the column `surrogate` where there is one,
    /// else by its key.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    fn open(
        &mut self,
        item: TableItem,
        surrogate: Option<String>,
    ) -> impl Future<Output = Result<Answer<Self::Rows>, Fault>> + Send;

    /// Reads the next rows of it, after a key.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    fn chunk(
        &mut self,
        window: u64,
        from: Option<Vec<String>>,
    ) -> impl Future<Output = Result<Answer<Self::Rows>, Fault>> + Send;

    /// Makes marks around nothing, where marks are rows of the signal table.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    fn marks(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Forgets the connection and the table: something failed.
    fn reset(&mut self);
}

/// Answers until nobody asks any more.
pub(super) async fn run<R: Reader>(
    mut reader: R,
    mut asks: mpsc::Receiver<Ask>,
    answers: mpsc::Sender<Answer<R::Rows>>,
) {
    while let Some(ask) = asks.recv().await {
        let answer = answer(&mut reader, ask).await;
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

async fn answer<R: Reader>(reader: &mut R, ask: Ask) -> Answer<R::Rows> {
    let answer = match ask {
        Ask::Table { item, surrogate } => Box::pin(reader.open(item, surrogate)).await,
        Ask::Chunk { window, from } => Box::pin(reader.chunk(window, from)).await,
        Ask::Marks => Box::pin(reader.marks()).await.map(|()| Answer::Marks),
    };
    answer.unwrap_or_else(|fault| {
        reader.reset();
        if fault.retry() == Retry::Timed {
            return Answer::Failed(fault);
        }
        tracing::warn!(error = fault.chain(), "a table is not read beside the stream");
        Answer::NotRead("SQL_EXCEPTION", fault.chain())
    })
}
