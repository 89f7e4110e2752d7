package attributes

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Process returns the attributes of this process. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES take precedence. An empty version or instance is left out.
func Process(ctx context.Context, version, instance string) (*resource.Resource, error) {
	about := []resource.Option{resource.WithAttributes(semconv.ServiceName("osgate"))}
	if version != "" {
		about = append(about, resource.WithAttributes(semconv.ServiceVersion(version)))
	}
	if instance != "" {
		about = append(about, resource.WithAttributes(semconv.ServiceInstanceID(instance)))
		if host, err := os.Hostname(); err == nil { // without a host name the attribute is left out
			about = append(about, resource.WithAttributes(semconv.HostName(host)))
		}
	}
	r, err := resource.New(ctx, append(about, resource.WithFromEnv(), resource.WithTelemetrySDK())...)
	if err != nil {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES: cannot be read") // err contains the value
	}
	return r, nil
}
