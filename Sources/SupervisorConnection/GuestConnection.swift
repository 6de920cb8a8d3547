import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A conversation with a guest's supervisor, of one thread.
public final class GuestConnection {
    private let socket: Descriptor
    /// The guest's name, or the socket's path where that is not known.
    public let name: String
    private let supervisorPid: Int32
    private var framer = Framer(limitBytes: Framer.longestReplyBytes)

    /// Connects. Waits a second at most for a supervisor that is just starting.
    ///
    /// - Parameter timeoutSeconds: how long to wait for each answer; nil: as long as it takes.
    public init(_ guest: FoundGuest, timeoutSeconds: Double?) throws(ConnectionError) {
        name = guest.paths.fileName
        supervisorPid = guest.supervisorPid
        socket = try GuestConnection.connect(guest, timeoutSeconds: timeoutSeconds)
    }

    /// Connects to a control socket by its path: one that is forwarded from another machine, where this one sees no lock and
    /// no files.
    public init(socketPath path: String, timeoutSeconds: Double?) throws(ConnectionError) {
        name = path
        supervisorPid = 0
        do throws(SystemError) { socket = try UnixSocket.connect(to: path, timeoutSeconds: timeoutSeconds) } catch {
            throw .unreachable(path, error)
        }
    }

    // Between the lock and the socket of a supervisor that is just starting there are some milliseconds.
    private static func connect(
        _ guest: FoundGuest, timeoutSeconds: Double?
    ) throws(ConnectionError) -> Descriptor {
        let name = guest.paths.fileName
        for _ in 0..<200 {
            do throws(SystemError) {
                return try UnixSocket.connect(to: guest.paths.control, timeoutSeconds: timeoutSeconds)
            } catch {
                let isStarting = error.number == ENOENT || error.number == ECONNREFUSED
                if isStarting, guest.isThere {
                    usleep(5000)
                    continue
                }
                if isStarting { throw .gone(name) }
                if error.number == EAGAIN { throw .silent(name, supervisorPid: guest.supervisorPid) }
                throw .unreachable(name, error)
            }
        }
        throw .notListening(name)
    }

    /// That its supervisor doesn't answer.
    public var silence: ConnectionError { .silent(name, supervisorPid: supervisorPid) }

    /// Borrowed for a poll.
    public var number: Int32 { socket.number }

    /// Calls a method and returns the first answer.
    public func call(_ call: Call, more: Bool = false) throws(ConnectionError) -> ReplyMessage {
        try send(call, more: more)
        guard let reply = try next() else { throw .gone(name) }
        return reply
    }

    /// Calls a method; its answer is to be received.
    public func send(_ call: Call, more: Bool = false) throws(ConnectionError) {
        let message = CallMessage(call: call, more: more).message()
        do throws(SystemError) { try UnixSocket.send(message, to: socket) } catch {
            throw error.number == EAGAIN ? .silent(name, supervisorPid: supervisorPid) : .gone(name)
        }
    }

    /// The next answer of a call with more; nil when the supervisor has ended.
    public func next() throws(ConnectionError) -> ReplyMessage? {
        while true {
            if let message = try waiting() { return message }
            guard try receive() else { return nil }
        }
    }

    /// An answer that has been received already.
    public func waiting() throws(ConnectionError) -> ReplyMessage? {
        let message: [UInt8]?
        do throws(FramerError) { message = try framer.next() } catch { throw .unreadable(name, why: "\(error)") }
        guard let message else { return nil }
        do throws(ReplyError) { return try ReplyMessage(message: message) } catch {
            switch error {
            case .refused(let refusal): throw .refused(name, refusal)
            case .notAReply: throw .unreadable(name, why: "\(error)")
            }
        }
    }

    /// Receives something. False at the end.
    public func receive() throws(ConnectionError) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let result = buffer.withUnsafeMutableBytes { bytes in
            Result { () throws(SystemError) in try socket.read(into: bytes) }
        }
        switch result {
        case .success(let count?):
            framer.append(Array(buffer[..<count]))
            return count > 0
        case .success(nil):
            throw .silent(name, supervisorPid: supervisorPid)
        case .failure(let error) where error.number == ECONNRESET:
            return false
        case .failure(let error):
            throw .unreachable(name, error)
        }
    }
}
