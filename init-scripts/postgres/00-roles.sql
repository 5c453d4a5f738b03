-- The role that captures changes. It may log in, replicate and read what the later scripts grant;
-- it owns nothing and creates nothing: publications are made here.
-- The password comes from WASMGATE_POSTGRES_PASSWORD (psql 15 or newer reads it).

\set password 'wasmgate-local'
\getenv password WASMGATE_POSTGRES_PASSWORD

CREATE ROLE wasmgate LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE
    CONNECTION LIMIT 20 PASSWORD :'password';
