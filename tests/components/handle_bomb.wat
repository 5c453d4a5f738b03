;; A resource of its own, and a start function that makes handles to it without end.
(component
  (type $r (resource (rep i32)))
  (core func $new (canon resource.new $r))
  (core instance $host (export "new" (func $new)))
  (core module $bomb
    (import "host" "new" (func $new (param i32) (result i32)))
    (func $hoard (loop (drop (call $new (i32.const 1))) (br 0)))
    (start $hoard))
  (core instance (instantiate $bomb (with "host" (instance $host)))))
