;; A table of a million elements, asked for before any function runs.
(component
  (core module $bomb (table 1000000 funcref))
  (core instance (instantiate $bomb)))
