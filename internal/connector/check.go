package connector

// CheckJSON refuses a document that two readers could understand differently, or that is no JSON
// object: a key that is there twice, something after the object, text that is not UTF-8.
func CheckJSON(doc []byte) error {
	_, err := readObject(doc)
	return err
}
