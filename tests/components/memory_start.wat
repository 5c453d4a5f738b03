;; A memory of 128 MiB, asked for before any function runs.
(component
  (core module $bomb (memory 2048))
  (core instance (instantiate $bomb)))
