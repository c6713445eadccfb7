package connector

import "errors"

// Bodies of these kinds are refused.

func (call *Call) readGraphQL(_ []byte) error {
	return errors.New("GraphQL is not understood, so it is refused")
}

func (call *Call) readMCP(_ []byte) error {
	return errors.New("the Model Context Protocol is not understood, so it is refused")
}

// prepareAnswer checks what an operation says of its answers.
func (c *Connector) prepareAnswer(_ *Operation) error { return nil }
