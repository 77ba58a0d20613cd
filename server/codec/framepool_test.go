package codec

import "testing"

func TestFramePool(t *testing.T) {
	t.Parallel()
	var pool FramePool
	for n := range 40 << 10 {
		b := pool.Get(n)
		if len(*b) != n {
			t.Fatalf("asked for %d bytes, got %d", n, len(*b))
		}
		if waste := cap(*b) - n; pooled(n) && waste > n/4 {
			t.Fatalf("%d bytes came in %d", n, cap(*b))
		}
		if !pooled(n) {
			continue
		}
		class, size := frameClass(n)
		if again, same := frameClass(size); again != class || same != size || cap(*b) != size {
			t.Fatalf("%d bytes are of class %d with %d, but %d of class %d with %d, capacity %d", n, class, size, size, again, same, cap(*b))
		}
		pool.Put(b)
	}
	if class, _ := frameClass(mostFrame); class != frameClasses-1 {
		t.Errorf("the largest frame is of class %d of %d", class, frameClasses)
	}
	if class, _ := frameClass(leastFrame + 1); class != 0 {
		t.Errorf("the smallest pooled frame is of class %d", class)
	}
	foreign := make([]byte, 0, 3000)
	pool.Put(&foreign)
	if b := pool.Get(3000); cap(*b) == 3000 {
		t.Error("took back a buffer that is not its own")
	}
}
