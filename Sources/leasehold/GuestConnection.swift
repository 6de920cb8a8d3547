import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A guest that a person named, found.
struct FoundGuest {
    let paths: GuestPaths
    /// Its supervisor.
    let supervisorPid: Int32

    /// Finds a running guest by name or UUID.
    static func named(_ name: String, in directory: RunDirectory) throws -> FoundGuest {
        if let guestName = GuestName(fromEmulator: name), let guest = FoundGuest(directory.guest(guestName)) {
            return guest
        }
        for paths in directory.guestDirectories() {
            guard let guest = FoundGuest(paths), let state = paths.readState() else { continue }
            if state.status.uuid.lowercased() == name.lowercased() || state.status.name == name { return guest }
        }
        throw notFound(name, in: directory)
    }

    static func notFound(_ name: String, in directory: RunDirectory) -> Problem {
        Problem(Problem.notFound, "no guest '\(name)' runs here (in \(directory.guests)); see leasehold list")
    }

    /// Whether its supervisor lives.
    var isThere: Bool { paths.livingSupervisor == supervisorPid }

    init?(_ paths: GuestPaths) {
        guard let pid = paths.livingSupervisor else { return nil }
        self.paths = paths
        supervisorPid = pid
    }
}

/// A conversation with a guest's supervisor.
final class GuestConnection {
    private let socket: Descriptor
    private let name: String
    private var framer = Framer(limitBytes: Framer.longestReplyBytes)

    /// Connects.
    ///
    /// - Parameter timeoutSeconds: how long to wait for each answer; nil: as long as it takes.
    init(_ guest: FoundGuest, timeoutSeconds: Int?) throws {
        name = guest.paths.fileName
        socket = try GuestConnection.connect(guest)
        UnixSocket.setReadTimeout(socket, seconds: timeoutSeconds)
    }

    // Between the lock and the socket of a supervisor that is just starting there are some milliseconds.
    private static func connect(_ guest: FoundGuest) throws -> Descriptor {
        for _ in 0..<200 {
            do throws(SystemError) { return try UnixSocket.connect(to: guest.paths.control) } catch {
                let isStarting = error.number == ENOENT || error.number == ECONNREFUSED
                if isStarting, guest.isThere {
                    usleep(5000)
                    continue
                }
                if isStarting { throw Gone() }
                let code = error.number == EACCES || error.number == EPERM ? Problem.notPermitted : Problem.unavailable
                throw Problem(code, "the supervisor of \(guest.paths.fileName) can't be reached: \(error.message)")
            }
        }
        throw Problem(Problem.unavailable, "the supervisor of \(guest.paths.fileName) does not open its control socket")
    }

    /// Borrowed for a poll.
    var number: Int32 { socket.number }

    /// Calls a method and returns the first answer.
    func call(_ call: Call, more: Bool = false) throws -> ReplyMessage {
        try send(call, more: more)
        guard let reply = try next() else { throw Gone() }
        return reply
    }

    /// Calls a method; its answer is to be received.
    func send(_ call: Call, more: Bool = false) throws {
        let message = CallMessage(call: call, more: more).message()
        do throws(SystemError) { try Files.write(message, to: socket.number) } catch { throw Gone() }
    }

    /// The next answer of a call with more; nil when the supervisor has ended.
    func next() throws -> ReplyMessage? {
        while true {
            if let message = try waiting() { return message }
            guard try receive() else { return nil }
        }
    }

    /// An answer that has been received already.
    func waiting() throws -> ReplyMessage? {
        let message: [UInt8]?
        do throws(FramerError) { message = try framer.next() } catch {
            throw Problem(Problem.unavailable, "\(name): \(error)")
        }
        guard let message else { return nil }
        do throws(ReplyError) { return try ReplyMessage(message: message) } catch {
            let code: Int32 = error == .refused(.notPermitted) ? Problem.notPermitted : Problem.unavailable
            throw Problem(code, "\(name): \(error)")
        }
    }

    /// Receives something. False at the end.
    func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let result = buffer.withUnsafeMutableBytes { bytes in
            Result { () throws(SystemError) in try socket.read(into: bytes) }
        }
        switch result {
        case .success(let count?):
            framer.append(Array(buffer[..<count]))
            return count > 0
        case .success(nil):
            throw TimedOut()
        case .failure(let error) where error.number == ECONNRESET:
            return false
        case .failure(let error):
            throw Problem(Problem.unavailable, "the supervisor of \(name): \(error.message)")
        }
    }

    /// No answer came in time.
    struct TimedOut: Error {}

    /// The supervisor has ended.
    struct Gone: Error {}
}

/// Calls a supervisor that answers at once, or is stopped or gone.
func ask<Answer>(
    _ guest: FoundGuest, named name: String, in directory: RunDirectory, _ call: Call,
    _ read: (ReplyMessage) throws(WireError) -> Answer
) throws -> Answer {
    do {
        return try read(try GuestConnection(guest, timeoutSeconds: 5).call(call))
    } catch is GuestConnection.TimedOut {
        throw Problem(
            Problem.unavailable,
            GuestSight.silence(name, guest.supervisorPid))
    } catch is GuestConnection.Gone {
        throw FoundGuest.notFound(name, in: directory)
    } catch let error as WireError {
        throw Problem(Problem.unavailable, "the supervisor of \(name) answers something else: \(error)")
    }
}

/// Asks a guest's supervisor for its status.
func status(of guest: FoundGuest, named name: String, in directory: RunDirectory) throws -> WireStatus {
    try ask(guest, named: name, in: directory, .getStatus) { reply throws(WireError) in try reply.value("status") }
}
