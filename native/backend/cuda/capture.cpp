#include "backend/cuda/capture.h"

#include "backend/cuda/check.h"

namespace espalier::cuda {
namespace {

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
using Graph = std::unique_ptr<CUgraph_st, DestroyGraph>;

/// What a stream has noted. Its noting ends in any case.
cudaError_t take(cudaStream_t stream, Graph& graph) {
  cudaGraph_t noted = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream, &noted);
  graph.reset(noted);
  return error;
}

class GraphRecording final : public Recording {
 public:
  GraphRecording(cudaGraph_t graph, cudaStream_t target) : target_(target) {
    check(cudaGraphInstantiate(&executable_, graph, 0), "preparing recorded work");
  }
  ~GraphRecording() override { cudaGraphExecDestroy(executable_); }

  void replay() const override { check(cudaGraphLaunch(executable_, target_), "starting recorded work"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t target_;
};

}  // namespace

Capture::Capture() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  stream_.reset(stream);
  // Other threads may do meanwhile what would spoil a recording.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning to record");
}

Capture::~Capture() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream(), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone) {
    Graph forgotten;
    take(stream(), forgotten);
  }
  cudaGetLastError();
}

std::unique_ptr<Recording> Capture::end(cudaStream_t target) {
  Graph graph;
  check(take(stream(), graph), "recording");
  return std::make_unique<GraphRecording>(graph.get(), target);
}

}  // namespace espalier::cuda
