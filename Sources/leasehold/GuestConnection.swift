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
        throw Problem(Problem.notFound, "no guest '\(name)' runs here (in \(directory.guests)); see leasehold list")
    }

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
        do throws(SystemError) { socket = try UnixSocket.connect(to: guest.paths.control) } catch {
            let code = error.number == EACCES || error.number == EPERM ? Problem.notPermitted : Problem.unavailable
            throw Problem(code, "the supervisor of \(guest.paths.fileName) can't be reached: \(error.message)")
        }
        UnixSocket.setReadTimeout(socket, seconds: timeoutSeconds)
    }

    /// Borrowed for a poll.
    var number: Int32 { socket.number }

    /// Calls a method and returns the first answer.
    func call(_ call: Call, more: Bool = false) throws -> ReplyMessage {
        let message = CallMessage(call: call, more: more).message()
        do throws(SystemError) { try Files.write(message, to: socket.number) } catch {
            throw Problem(Problem.unavailable, "the supervisor of \(name) is gone: \(error.message)")
        }
        guard let reply = try next() else {
            throw Problem(Problem.unavailable, "the supervisor of \(name) ended before it answered")
        }
        return reply
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
}

/// Asks a guest's supervisor for its status.
func status(of guest: FoundGuest) throws -> WireStatus {
    do {
        return try GuestConnection(guest, timeoutSeconds: 5).call(.getStatus).value("status")
    } catch is GuestConnection.TimedOut {
        throw Problem(
            Problem.unavailable,
            "the supervisor of \(guest.paths.fileName) (pid \(guest.supervisorPid)) does not answer; is it stopped?")
    }
}
