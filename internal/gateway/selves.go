package gateway

import "sync"

// selves keeps who the keys of this Claw belong to.
type selves struct {
	mu sync.Mutex
}
