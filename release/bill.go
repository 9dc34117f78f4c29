package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// bill writes a program's bill of materials: the modules that are linked into it,
// read from the program itself, with their sums.
func (r *release) bill(p platform, program string) error {
	generator, err := bin.NewGenerator(program, bin.WithLogger(zerolog.Nop()), bin.WithIncludeStdlib(true), bin.WithVersionOverride("v"+r.number))
	if err != nil {
		return err
	}
	bom, err := generator.Generate()
	if err != nil {
		return err
	}
	bom.Metadata.Timestamp = r.when.Format(time.RFC3339)
	// A bill is named by what it says, so that the same bill has the same name.
	var said bytes.Buffer
	if err := cdx.NewBOMEncoder(&said, cdx.BOMFileFormatJSON).Encode(bom); err != nil {
		return err
	}
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceOID, said.Bytes()).URN()
	return r.write(fmt.Sprintf("hearth_%s_%s_%s.cdx.json", r.number, p.system, p.architecture), func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	})
}
