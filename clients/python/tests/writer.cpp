// A native handler in C++ with nothing but libzmq: takes one flow by a CLIENT socket, and
// writes the payloads into raw.out, a line each.
//
//     writer ADDRESS CID

#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <zmq.h>

namespace {

struct Peer {
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_CLIENT);
    uint64_t seqno = 0;

    explicit Peer(const char* address) {
        const int linger = 1000, patience = 10000;  // ms
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
        if (zmq_connect(socket, address) != 0) throw std::runtime_error(zmq_strerror(errno));
    }
    ~Peer() {
        zmq_close(socket);
        zmq_ctx_term(context);
    }

    // A message without payload; all its parts are shorter than 255 bytes.
    void say(const std::string& label) {
        const std::string prefix = "ZIO0FLOW" + label;
        const uint64_t coord[3] = {0, 0, seqno++};
        std::string message(1, static_cast<char>(prefix.size()));
        message += prefix + static_cast<char>(sizeof coord);
        message.append(reinterpret_cast<const char*>(coord), sizeof coord);
        zmq_send(socket, message.data(), message.size(), 0);
    }

    std::vector<std::string> receive() {
        std::string buffer(1 << 16, 0);
        const int size = zmq_recv(socket, &buffer[0], buffer.size(), 0);
        if (size < 0 || size > int(buffer.size())) throw std::runtime_error("no message came");
        std::vector<std::string> parts;
        for (size_t at = 0; at < size_t(size);) {
            size_t length = uint8_t(buffer[at++]);
            if (length == 255) {
                length = 0;
                for (int i = 0; i < 4; i++) length = length << 8 | uint8_t(buffer[at++]);
            }
            parts.push_back(buffer.substr(at, length));
            at += length;
        }
        return parts;
    }
};

}  // namespace

int main(int, char** arguments) {
    Peer peer(arguments[1]);
    const std::string cid = arguments[2];
    peer.say(R"({"flow":"BOT","direction":"inject","credit":2,"cid":)" + cid + "}");
    if (peer.receive().at(0).find("\"BOT\"") == std::string::npos) return 1;
    peer.say(R"({"flow":"PAY","credit":2})");
    std::ofstream out("raw.out");
    for (;;) {
        const auto message = peer.receive();
        if (message.at(0).find("\"DAT\"") == std::string::npos) break;
        out << message.at(2) << "\n";
        peer.say(R"({"flow":"PAY","credit":1})");
    }
    out.close();
    peer.say(R"({"flow":"EOT"})");
}
