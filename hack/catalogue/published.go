package main

// published is an operation as the description of a service has it.
type published struct {
	ID     string
	Method string
	Path   string   // after the base of its host
	Query  []string // parameters of the query
	Params []string // parameters of a JSON body
	Body   string   // JSON, Raw, or nothing
	Upload bool     // it takes a file, at the host for uploads, too
	Media  bool     // it can answer with a file instead of JSON
	Texts  []text   // that people wrote, in its answer
}

// text is a place in an answer that holds what somebody wrote.
type text struct {
	At     string // of the object that has the text: "", "[]", "items[]", "issue"
	Author string // where in that object its writer is: user.login
}
