import ControlProtocol
import Glibc
import Logging
import Platform

/// Where the supervisor's log goes.
public struct LogTarget: Sendable {
    /// The descriptor that lines are written to; nil: syslog.
    public var descriptor: Int32?
    /// One JSON object a line instead of text.
    public var isJSON: Bool
    /// The guest's name, which each line carries.
    public var guest: String
    /// The least level that is written.
    public var level: Logger.Level
    /// Who writes.
    public var writer: LogWriter

    /// States where and how.
    public init(descriptor: Int32?, isJSON: Bool, level: Logger.Level, guest: String, writer: LogWriter) {
        self.writer = writer
        self.level = level
        self.descriptor = descriptor
        self.isJSON = isJSON
        self.guest = guest
    }
}

extension LogTarget {
    /// A log that goes there.
    var logger: Logger { Logger(label: "leasehold") { _ in SupervisorLog(target: self) } }
}

/// swift-log's lines as the supervisor writes them: one `write` a line, so that lines of many guests don't mix.
public struct SupervisorLog: LogHandler {
    /// Where lines go.
    public let target: LogTarget
    /// What every line carries; nothing but the guest's name.
    public var metadata: Logger.Metadata = [:]
    /// The least level that is written.
    public var logLevel: Logger.Level

    /// Starts a log.
    public init(target: LogTarget) {
        self.target = target
        logLevel = target.level
    }

    /// One of what every line carries.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one line; a log that can't be written is no reason to disturb the guest.
    public func log(event: LogEvent) {
        let details = (event.metadata ?? [:]).sorted { $0.key < $1.key }
        guard let descriptor = target.descriptor else {
            let text = details.reduce("\(target.guest): \(event.message)") { "\($0) \($1.key)=\($1.value)" }
            let level = priority(event.level)
            return target.writer.write { withVaList([]) { vsyslog(level, text.printable.doublingPercents, $0) } }
        }
        let now = Clock.wallTime()
        let time = rfc3339(secondsSince1970: now.seconds, nanoseconds: Int32(now.milliseconds) * 1_000_000)
        var line: String
        if target.isJSON {
            var object = JSON.Object()
            object["time"] = .string(time)
            object["level"] = .string(event.level.rawValue)
            object["guest"] = .string(target.guest)
            object["message"] = .string(event.message.description)
            for (key, value) in details where object[key] == nil { object[key] = .string(value.description) }
            line = JSON.object(object).description
        } else {
            line = "\(time) \(event.level.rawValue) leasehold \(target.guest): \(event.message)"
            for (key, value) in details { line += " \(key)=\(value)" }
        }
        let bytes = Array((line.printable.utf8.prefix(4000)) + [UInt8(ascii: "\n")])
        target.writer.write {
            // A reader that doesn't read must not stop the supervisor: then the line is lost.
            guard Files.hasRoom(descriptor) else { return }
            try? Files.write(bytes, to: descriptor)
        }
    }

    private func priority(_ level: Logger.Level) -> Int32 {
        switch level {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }
}

extension String {
    // syslog takes a format; what is in a message is no format.
    fileprivate var doublingPercents: String {
        unicodeScalars.reduce(into: "") { text, next in text += next == "%" ? "%%" : String(next) }
    }
}
