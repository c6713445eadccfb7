package connector

import "errors"

// file is a part of a body in several parts into which nothing looks.
type file struct {
	name     string // of its parameter
	filename string
	media    string
	data     []byte
}

func (call *Call) readMultipart(_ *book, _ map[string]string, _ []byte) error {
	return errors.New("not understood")
}
func (call *Call) writeMultipart() error { return errors.New("not understood") }
func (call *Call) readRelated(_ *book, _ map[string]string, _ []byte) error {
	return errors.New("not understood")
}
func (call *Call) writeRelated() error { return errors.New("not understood") }
