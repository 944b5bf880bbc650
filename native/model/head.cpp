#include "model/head.h"

#include "model/sequence_head.h"
#include "model/span_head.h"

namespace espalier {

std::unique_ptr<Head> makeHead(const Model& model, Workspace& workspace, const Dropout& dropout) {
  if (model.spec().head == HeadKind::span) return std::make_unique<SpanHead>(model, workspace);
  return std::make_unique<SequenceHead>(model, workspace, dropout);
}

}  // namespace espalier
