//! The C interface of libchdb, as far as it is used here. Source of the signatures: chdb.h of
//! libchdb 26.7.
#![allow(unsafe_code, reason = "a C library is loaded and called")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use libloading::{Library, Symbol};

type Handle = *mut c_void;
type Query = unsafe extern "C" fn(Handle, *const c_char, usize, *const c_char, usize) -> Handle;
type Text = unsafe extern "C" fn(Handle) -> *const c_char;
type Free = unsafe extern "C" fn(Handle);
type Append = unsafe extern "C" fn(Handle, *const c_char, usize) -> c_int;
type Done = unsafe extern "C" fn(Handle) -> Handle;

struct Functions {
    query: Query,
    error: Text,
    buffer: Text,
    length: unsafe extern "C" fn(Handle) -> usize,
    free: Free,
    insert: Query,
    insert_error: Text,
    append: Append,
    done: Done,
    free_insert: Free,
    /// Never unloaded: its threads outlive every call.
    _library: &'static Library,
}

struct Connection {
    handle: Handle,
    functions: Functions,
}

// SAFETY: the handle is used under the mutex of `Engine` only, one call at a time.
unsafe impl Send for Connection {}

/// The engine: one statement at a time.
pub(crate) struct Engine(Mutex<Connection>);

impl Engine {
    /// Loads the library and opens a database in a folder.
    ///
    /// # Errors
    /// The library cannot be loaded, or refuses the folder.
    pub(crate) fn open(library: &Path, dir: &Path) -> Result<Self, String> {
        let error = |e: libloading::Error| format!("{}: {e}", library.display());
        // SAFETY: libchdb's initialisers have no requirements.
        let library: &'static Library =
            Box::leak(Box::new(unsafe { Library::new(library) }.map_err(error)?));
        // SAFETY: names and types are those of the library's header.
        let (functions, connect) = unsafe {
            let signals: Symbol<'_, unsafe extern "C" fn(c_int)> =
                library.get(b"chdb_set_signal_handlers_enabled").map_err(error)?;
            signals(0);
            let connect: Symbol<'_, unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut Handle> =
                library.get(b"chdb_connect").map_err(error)?;
            let functions = Functions {
                query: *library.get(b"chdb_query_n").map_err(error)?,
                error: *library.get(b"chdb_result_error").map_err(error)?,
                buffer: *library.get(b"chdb_result_buffer").map_err(error)?,
                length: *library.get(b"chdb_result_length").map_err(error)?,
                free: *library.get(b"chdb_destroy_query_result").map_err(error)?,
                insert: *library.get(b"chdb_stream_insert_n").map_err(error)?,
                insert_error: *library.get(b"chdb_stream_insert_error").map_err(error)?,
                append: *library.get(b"chdb_stream_append").map_err(error)?,
                done: *library.get(b"chdb_stream_done").map_err(error)?,
                free_insert: *library.get(b"chdb_destroy_insert_stream").map_err(error)?,
                _library: library,
            };
            (functions, *connect)
        };
        let mut path = b"--path=".to_vec();
        path.extend_from_slice(dir.as_os_str().as_bytes());
        path.push(0);
        let mut name = b"wasmgate-chdb\0".to_vec();
        let mut arguments = [name.as_mut_ptr().cast::<c_char>(), path.as_mut_ptr().cast()];
        // SAFETY: two texts that end with 0 and live over the call.
        let connection = unsafe { connect(2, arguments.as_mut_ptr()) };
        if connection.is_null() {
            return Err(format!("the engine refuses {}", dir.display()));
        }
        // SAFETY: the library answers a pointer to its handle.
        let handle = unsafe { *connection };
        Ok(Self(Mutex::new(Connection { handle, functions })))
    }

    /// Runs a query; what it answers, or the exception's text.
    pub(crate) fn query(&self, sql: &str, format: &str) -> Result<Vec<u8>, String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let f = &held.functions;
        // SAFETY: pointers and lengths of texts that live over the call.
        let result = unsafe {
            let (sql, format) = (sql.as_bytes(), format.as_bytes());
            (f.query)(
                held.handle,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
            )
        };
        f.take(result)
    }

    /// Inserts data in a format. `sql` has no FORMAT clause.
    pub(crate) fn insert(&self, sql: &str, format: &str, data: &[u8]) -> Result<(), String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let f = &held.functions;
        // SAFETY: as in `query`; the stream is used and freed here alone.
        unsafe {
            let (sql, format) = (sql.as_bytes(), format.as_bytes());
            let stream = (f.insert)(
                held.handle,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
            );
            if let Some(error) = text((f.insert_error)(stream)) {
                (f.free_insert)(stream);
                return Err(error);
            }
            // A failed append shows in the result of `done`.
            let _appended = (f.append)(stream, data.as_ptr().cast(), data.len());
            let result = (f.done)(stream);
            let taken = f.take(result);
            (f.free_insert)(stream);
            taken.map(drop)
        }
    }
}

impl Functions {
    /// Result or error, copied; frees it.
    fn take(&self, result: Handle) -> Result<Vec<u8>, String> {
        if result.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: a result that is not freed yet; what it points to is copied before it is.
        unsafe {
            let error = text((self.error)(result));
            let (buffer, length) = ((self.buffer)(result), (self.length)(result));
            let data = match buffer.is_null() {
                true => Vec::new(),
                false => std::slice::from_raw_parts(buffer.cast::<u8>(), length).to_vec(),
            };
            (self.free)(result);
            error.map_or(Ok(data), Err)
        }
    }
}

/// A text that ends with 0, copied; `None`: there is none.
///
/// # Safety
/// Null, or such a text.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: what the caller promised.
    let text = unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}
