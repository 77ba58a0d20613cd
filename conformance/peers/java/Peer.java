import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.zeromq.SocketType;
import org.zeromq.ZContext;
import org.zeromq.ZFrame;
import org.zeromq.ZMQ;
import org.zeromq.ZMsg;

/** A ZeroMQ peer on JeroMQ: see ../README.md. */
public final class Peer {
    private Peer() {
    }

    public static void main(String[] args) throws IOException {
        Map<String, String> config = new HashMap<>();
        for (String word : args) {
            int at = word.indexOf('=');
            config.put(word.substring(0, at), word.substring(at + 1));
        }
        ZContext context = new ZContext();
        ZMQ.Socket socket = context.createSocket(SocketType.valueOf(config.get("socket").toUpperCase(Locale.ROOT)));
        configure(socket, config);
        // A poller cannot watch standard input: a thread of its own reads that.
        ZMQ.Socket input = context.createSocket(SocketType.PAIR);
        ZMQ.Socket inner = context.createSocket(SocketType.PAIR);
        input.setHWM(0);
        inner.setHWM(0);
        input.bind("inproc://input");
        inner.connect("inproc://input");
        Thread reader = new Thread(() -> read(inner));
        reader.setDaemon(true);
        reader.start();
        socket.connect(config.get("address"));
        relay(context, socket, input);
        context.setLinger(2000);
        context.close();
    }

    private static void configure(ZMQ.Socket socket, Map<String, String> config) {
        socket.setLinger(2000);
        socket.setHWM(0);
        if (config.containsKey("identity")) {
            socket.setIdentity(config.get("identity").getBytes(StandardCharsets.UTF_8));
        }
        if (config.containsKey("heartbeat")) {
            int interval = Integer.parseInt(config.get("heartbeat"));
            socket.setHeartbeatIvl(interval);
            socket.setHeartbeatTimeout(5 * interval);
            socket.setHeartbeatTtl(5 * interval);
        }
        if (config.containsKey("server")) {
            socket.setCurveServerKey(ZMQ.Curve.z85Decode(config.get("server")));
            socket.setCurvePublicKey(ZMQ.Curve.z85Decode(config.get("public")));
            socket.setCurveSecretKey(ZMQ.Curve.z85Decode(config.get("secret")));
        }
    }

    /** Passes on what standard input has, behind a mark, and an empty message for its end. */
    private static void read(ZMQ.Socket inner) {
        DataInputStream in = new DataInputStream(System.in);
        try {
            while (true) {
                ZMsg message = new ZMsg();
                message.add(new byte[] {1});
                for (int n = in.readInt(); n > 0; n--) {
                    byte[] part = new byte[in.readInt()];
                    in.readFully(part);
                    message.add(part);
                }
                message.send(inner);
            }
        } catch (EOFException end) {
            inner.send(new byte[0]);
        } catch (IOException fault) {
            throw new IllegalStateException(fault);
        }
    }

    private static void relay(ZContext context, ZMQ.Socket socket, ZMQ.Socket input) throws IOException {
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
        ZMQ.Poller poller = context.createPoller(2);
        poller.register(socket, ZMQ.Poller.POLLIN);
        poller.register(input, ZMQ.Poller.POLLIN);
        while (true) {
            poller.poll();
            if (poller.pollin(0)) {
                ZMsg message = ZMsg.recvMsg(socket);
                out.writeInt(message.size());
                for (ZFrame part : message) {
                    out.writeInt(part.size());
                    out.write(part.getData());
                }
                out.flush();
            }
            if (poller.pollin(1)) {
                ZMsg message = ZMsg.recvMsg(input);
                if (message.pop().size() == 0) {
                    return;
                }
                message.send(socket);
            }
        }
    }
}
