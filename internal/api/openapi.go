package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// documentProblems puts Problem where huma documented its own error model.
func documentProblems(doc *huma.OpenAPI) {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Delete, path.Patch} {
			if op == nil {
				continue
			}
			for _, resp := range op.Responses {
				if media, ok := resp.Content[problemType]; ok {
					media.Schema = schema
				}
			}
		}
	}
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
}
