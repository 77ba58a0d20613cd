// The matrix's peer in C++, with what protoc makes of the contract. See ../README.md.
//
//     peer NAME GRPC ROUTER SET handler | client HANDLER...
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <openssl/evp.h>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "zio/gateway/v1/flow.grpc.pb.h"
#include "zio/gateway/v1/handler.grpc.pb.h"

namespace {

namespace gw = zio::gateway::v1;
using google::protobuf::Struct;
using Stream = grpc::ClientReaderWriter<gw::OpenRequest, gw::OpenResponse>;

constexpr int kCredit = 4;
constexpr int kMaxMessage = (64 << 20) + (64 << 10);

struct Tensor {
  std::string line;  // as in the file, with its newline
  char dtype;
  int word;
  std::vector<uint64_t> shape;
  bool by_columns;
  std::string data;
};

using Set = std::vector<std::vector<Tensor>>;  // by message

std::string Digest(const std::string& line, const std::string& data) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  EVP_DigestUpdate(context.get(), line.data(), line.size());
  EVP_DigestUpdate(context.get(), data.data(), data.size());
  EVP_DigestFinal_ex(context.get(), sum, &size);
  std::string text;
  for (unsigned int i = 0; i < size; i++) {
    text += "0123456789abcdef"[sum[i] >> 4];
    text += "0123456789abcdef"[sum[i] & 15];
  }
  return text;
}

Tensor MakeTensor(uint32_t k, const std::string& line) {
  Tensor t;
  std::string element, shape, order;
  std::istringstream(line) >> element >> shape >> order;
  t.line = line + "\n";
  t.dtype = element.at(0);
  t.word = std::stoi(element.substr(1));
  t.by_columns = order == "F";
  uint64_t size = t.word;
  if (shape != "-") {
    std::istringstream lengths(shape);
    for (std::string n; std::getline(lengths, n, 'x');) {
      t.shape.push_back(std::stoull(n));
      size *= t.shape.back();
    }
  }
  for (uint32_t i = 0; i < size; i++) {
    const uint8_t byte = (i * 2654435761u + k * 40503u + 1u) >> 15;
    t.data += static_cast<char>(t.dtype == 'b' ? byte & 1 : byte);
  }
  return t;
}

Set ReadSet(const std::string& name) {
  Set set;
  std::ifstream file(name);
  if (!file) throw std::runtime_error("no file " + name);
  uint32_t k = 0;
  bool between = true;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) between = true;
    if (line.empty() || line[0] == '#') continue;
    if (between) set.emplace_back();
    between = false;
    set.back().push_back(MakeTensor(k++, line));
  }
  return set;
}

// The label of a message of these tensors.
std::string Describe(const std::vector<Tensor>& tensors) {
  std::ostringstream label;
  label << R"({"TENS":{"tensors":[)";
  for (size_t part = 0; part < tensors.size(); part++) {
    const Tensor& t = tensors[part];
    label << (part ? "," : "") << R"({"dtype":")" << t.dtype << R"(","word":)" << t.word << R"(,"part":)" << part << R"(,"shape":[)";
    for (size_t n = 0; n < t.shape.size(); n++) label << (n ? "," : "") << t.shape[n];
    label << "]";
    if (t.by_columns) {
      label << R"(,"order":[)";
      for (size_t n = 0; n < t.shape.size(); n++) label << (n ? "," : "") << n;
      label << "]";
    }
    label << "}";
  }
  label << R"(],"metadata":{}}})";
  return label.str();
}

// The line that describes a tensor of a message that came.
std::string LineOf(const Struct& tensor) {
  const auto& fields = tensor.fields();
  std::ostringstream line;
  line << fields.at("dtype").string_value() << fields.at("word").number_value() << " ";
  const auto& shape = fields.at("shape").list_value().values();
  for (int n = 0; n < shape.size(); n++) line << (n ? "x" : "") << static_cast<uint64_t>(shape[n].number_value());
  if (shape.empty()) line << "-";
  bool by_columns = fields.count("order") > 0 && !shape.empty();
  if (by_columns) {
    const auto& order = fields.at("order").list_value().values();
    for (int n = 0; n < order.size(); n++) by_columns = by_columns && order[n].number_value() == n;
  }
  line << (by_columns ? " F\n" : " C\n");
  return line.str();
}

std::vector<std::string> DigestsOf(const gw::Dat& dat) {
  Struct label;
  if (!google::protobuf::util::JsonStringToMessage(dat.label(), &label).ok()) {
    throw std::runtime_error("a label is no JSON");
  }
  std::vector<std::string> digests;
  const auto& tens = label.fields().at("TENS").struct_value().fields();
  int index = 0;
  for (const auto& value : tens.at("tensors").list_value().values()) {
    const auto& fields = value.struct_value().fields();
    const int part = fields.count("part") ? static_cast<int>(fields.at("part").number_value()) : index;
    digests.push_back(Digest(LineOf(value.struct_value()), dat.payload(part)));
    index++;
  }
  return digests;
}

class Peer {
 public:
  Peer(std::string name, const std::string& address, Set set, std::string role)
      : name_(std::move(name)), set_(std::move(set)), role_(std::move(role)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessage);
    arguments.SetInt("grpc.enable_http_proxy", 0);
    auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    flows_ = gw::FlowService::NewStub(channel);
    handlers_ = gw::HandlerService::NewStub(channel);
  }

  // Takes and gives until standard input ends.
  void Handle() {
    grpc::ClientContext context;
    gw::ListenRequest request;
    request.set_name(name_);
    request.set_match("attributes.handler == '" + name_ + "'");
    request.set_max_offer_bytes(kMaxMessage);
    auto offers = handlers_->Listen(&context, request);
    std::thread input([&context] {
      std::cin.ignore(std::numeric_limits<std::streamsize>::max());
      context.TryCancel();
    });
    std::vector<std::thread> handling;
    for (gw::ListenResponse event; offers->Read(&event);) {
      if (event.has_listening()) Print(R"({"listening":")" + name_ + R"("})");
      if (event.has_offer()) handling.emplace_back(&Peer::Accept, this, event.offer());
    }
    for (auto& thread : handling) thread.join();
    input.join();
    const grpc::Status status = offers->Finish();
    if (status.error_code() != grpc::StatusCode::CANCELLED) Fail(status);
  }

  // Gives to a handler, and takes from it.
  void Open(const std::string& handler) {
    gw::Bot bot;
    auto* attributes = bot.mutable_attributes()->mutable_fields();
    (*attributes)["handler"].set_string_value(handler);
    (*attributes)["client"].set_string_value(name_);
    Give(bot, handler);
    Take(bot, handler);
  }

 private:
  void Accept(const gw::Offer& offer) {
    gw::Bot bot;
    bot.set_cid(offer.cid());
    const std::string other = offer.bot().attributes().fields().at("client").string_value();
    offer.bot().direction() == gw::DIRECTION_EXTRACT ? Give(bot, other) : Take(bot, other);
  }

  void Give(gw::Bot bot, const std::string& other) {
    grpc::ClientContext context;
    auto stream = Begin(&context, &bot, gw::DIRECTION_EXTRACT);
    std::vector<std::string> digests;
    int64_t credit = 0;
    for (const auto& tensors : set_) {
      for (gw::OpenResponse answer; credit == 0 && stream->Read(&answer);) credit += answer.pay().credit();
      if (credit-- == 0) break;  // the flow has ended, and Finish says why
      gw::OpenRequest request;
      auto* dat = request.mutable_dat();
      dat->set_label(Describe(tensors));
      for (const auto& t : tensors) {
        dat->add_payload(t.data);
        digests.push_back(Digest(t.line, t.data));
      }
      stream->Write(request);
    }
    End(stream.get());
    for (gw::OpenResponse answer; stream->Read(&answer);) continue;
    Fail(stream->Finish());
    Report(other, "extract", digests);
  }

  void Take(gw::Bot bot, const std::string& other) {
    grpc::ClientContext context;
    auto stream = Begin(&context, &bot, gw::DIRECTION_INJECT);
    std::vector<std::string> digests;
    for (gw::OpenResponse answer; stream->Read(&answer);) {
      gw::OpenRequest pay;
      if (answer.has_bot()) {
        pay.mutable_pay()->set_credit(answer.bot().credit());
        stream->Write(pay);
      } else if (answer.has_dat()) {
        for (auto& digest : DigestsOf(answer.dat())) digests.push_back(digest);
        pay.mutable_pay()->set_credit(1);
        stream->Write(pay);
      } else if (answer.has_eot()) {
        End(stream.get());
      }
    }
    Fail(stream->Finish());
    Report(other, "inject", digests);
  }

  std::unique_ptr<Stream> Begin(grpc::ClientContext* context, gw::Bot* bot, gw::Direction direction) {
    bot->set_direction(direction);
    bot->set_credit(kCredit);
    gw::OpenRequest request;
    *request.mutable_bot() = *bot;
    auto stream = flows_->Open(context);
    stream->Write(request);
    return stream;
  }

  static void End(Stream* stream) {
    gw::OpenRequest request;
    request.mutable_eot();
    if (stream->Write(request)) stream->WritesDone();
  }

  static void Fail(const grpc::Status& status) {
    if (!status.ok()) throw std::runtime_error(status.error_message());
  }

  void Report(const std::string& other, const std::string& direction, const std::vector<std::string>& digests) {
    std::string line = R"({"peer":")" + name_ + R"(","role":")" + role_ + R"(","other":")" + other + R"(","direction":")" + direction + R"(","digests":[)";
    for (size_t i = 0; i < digests.size(); i++) line += (i ? ",\"" : "\"") + digests[i] + "\"";
    Print(line + "]}");
  }

  void Print(const std::string& line) {
    const std::lock_guard<std::mutex> lock(printing_);
    std::cout << line << std::endl;
  }

  const std::string name_;
  const Set set_;
  const std::string role_;
  std::unique_ptr<gw::FlowService::Stub> flows_;
  std::unique_ptr<gw::HandlerService::Stub> handlers_;
  std::mutex printing_;
};

}  // namespace

int main(int count, char** arguments) try {
  const std::vector<std::string> given(arguments, arguments + count);
  if (given.size() < 6) throw std::runtime_error("usage: peer NAME GRPC ROUTER SET handler | client HANDLER...");
  Peer peer(given[1], given[2], ReadSet(given[4]), given[5]);
  if (given[5] == "handler") {
    peer.Handle();
  } else {
    for (size_t i = 6; i < given.size(); i++) peer.Open(given[i]);
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return 1;
}
