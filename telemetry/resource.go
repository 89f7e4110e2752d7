package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// describe returns the attributes of this process. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES take precedence. An empty version or instance is left out.
func describe(ctx context.Context, version, instance string) (*resource.Resource, error) {
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
		return nil, &ExportError{"OTEL_RESOURCE_ATTRIBUTES", "cannot be read"} // err contains the value
	}
	return r, nil
}

// newInstance returns a unique id: a random UUID (RFC 9562, section 5.4), as the
// semantic conventions recommend for service.instance.id.
func newInstance() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
