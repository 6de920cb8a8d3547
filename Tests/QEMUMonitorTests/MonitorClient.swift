import Foundation
import QEMUMonitor
import TestSupport

/// A connection to a real monitor, and the conversation over it. Calls block.
final class MonitorClient {
    let descriptor: Int32
    private(set) var conversation = MonitorConversation()
    /// What it said that nobody waited for, in order.
    private(set) var news: [MonitorNews] = []
    private(set) var hasEnded = false

    /// Connects, waiting until somebody listens.
    init(_ path: String) throws {
        descriptor = try eventuallyFound(within: 10, "a monitor at \(path)") { try connectUnixSocket(path) }
    }

    deinit { close(descriptor) }

    /// One that is ready for commands.
    static func ready(_ path: String) throws -> MonitorClient {
        let client = try MonitorClient(path)
        guard try client.next({ if case .greeted = $0 { true } else { false } }) != nil else {
            throw TestFailure("no greeting from \(path)")
        }
        try client.send(.capabilities)
        guard try client.next({ $0 == .ready }) != nil else { throw TestFailure("\(path) doesn't get ready") }
        return client
    }

    /// Sends a command, with a descriptor where one is given.
    @discardableResult
    func send(_ command: MonitorCommand, passing passed: Int32? = nil) throws -> Int {
        let (id, bytes) = conversation.send(command)
        // A control message by hand, as its macros aren't Swift's: length 20, SOL_SOCKET, SCM_RIGHTS, the descriptor, 4 bytes of nothing.
        var control = [Int32](repeating: 0, count: 6)
        if let passed { control = [20, 0, SOL_SOCKET, Int32(SCM_RIGHTS), passed, 0] }
        let sent = bytes.withUnsafeBytes { content in
            control.withUnsafeMutableBytes { control in
                var part = iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: content.baseAddress), iov_len: content.count)
                return withUnsafeMutablePointer(to: &part) { part in
                    var message = msghdr()
                    message.msg_iov = part
                    message.msg_iovlen = 1
                    if passed != nil {
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                    }
                    return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
                }
            }
        }
        guard sent == bytes.count else { throw TestFailure("can't send to the monitor: errno \(errno)") }
        return id
    }

    /// Waits for news of a kind, takes and returns it; what comes meanwhile is kept. Nil after `timeout` seconds, or at the end.
    func next(timeout: Double = 10, _ isIt: (MonitorNews) -> Bool) throws -> MonitorNews? {
        let start = monotonicNanoseconds()
        while true {
            if let index = news.firstIndex(where: isIt) { return news.remove(at: index) }
            let left = timeout - secondsSince(start)
            guard left > 0, !hasEnded else { return nil }
            try read(within: left)
        }
    }

    /// Waits for the reply to a command; nil after `timeout` seconds, or at the end.
    func reply(to id: Int, timeout: Double = 10) throws -> MonitorReply? {
        let news = try next(timeout: timeout) { if case .reply(id, _) = $0 { true } else { false } }
        guard case .reply(_, let reply) = news else { return nil }
        return reply
    }

    /// Sends a command and waits for its reply.
    func execute(_ command: MonitorCommand, passing passed: Int32? = nil, timeout: Double = 10) throws -> MonitorReply?
    {
        try reply(to: send(command, passing: passed), timeout: timeout)
    }

    /// What the guest is doing.
    func status() throws -> MonitorStatus {
        guard case .status(let status) = try execute(.queryStatus) else { throw TestFailure("no status; \(news)") }
        return status
    }

    private func read(within seconds: Double) throws {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(seconds * 1000) + 1) > 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = recv(descriptor, &buffer, buffer.count, 0)
        // A QEMU that ends leaves unread what was sent to it, and so resets the connection.
        guard length > 0 else {
            hasEnded = length == 0 || errno == ECONNRESET
            return
        }
        news += try conversation.receive(buffer[..<length])
    }
}
