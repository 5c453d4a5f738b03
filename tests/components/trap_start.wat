;; A start function that traps.
(component
  (core module $trap (func $stop unreachable) (start $stop))
  (core instance (instantiate $trap)))
