package proxy

import "strings"

const hugeBytes = 100 << 20

// replace answers with what no API server says.
func (q *request) replace(kind string) {
	header := q.w.Header()
	header.Set("Content-Type", "application/json")
	const begin = `{"type":"ADDED","object":{"metadata":{"name":"x","resourceVersion":"1","annotations":{"a":"`
	switch kind {
	case "html":
		header.Set("Content-Type", "text/html")
		q.send([]byte("<!DOCTYPE html><html><body><h1>503 no server is available</h1></body></html>\n"))
	case "half":
		q.send([]byte(begin + "half of"))
	case "utf8":
		q.send([]byte(begin + "\xff\xfe\xc3(" + "\"}}}}\n"))
	case "deep":
		q.send([]byte(strings.Repeat(`{"a":[`, 100000)))
	case "huge":
		q.send([]byte(begin))
		part := []byte(strings.Repeat("x", 1<<20))
		for range hugeBytes / len(part) {
			q.send(part)
		}
		q.send([]byte("\"}}}}\n"))
	case "empty":
		q.w.WriteHeader(200)
	default:
		q.send([]byte(kind))
	}
}
