module github.com/clawstaff/clawstaff/hack/catalogue

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	google.golang.org/api v0.311.0
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect
