;; A start function that never ends.
(component
  (core module $loop (func $spin (loop (br 0))) (start $spin))
  (core instance (instantiate $loop)))
