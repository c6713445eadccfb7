package gateway

// checkUpgrade refuses WebSocket where the operation is none, and the operation where it is not asked for so.
func (ex *exchange) checkUpgrade() error {
	switch socket := ex.call.Operation.WebSocket != nil; {
	case ex.h.upgrade && !socket:
		return closing(denied("catalogue", "this operation is not asked for over WebSocket"))
	case socket && !ex.h.upgrade:
		return denied("catalogue", "this operation is asked for over WebSocket only")
	default:
		return nil
	}
}
