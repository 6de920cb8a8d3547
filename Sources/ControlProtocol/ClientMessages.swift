/// A call as a client sends it, with the NUL.
///
/// - Parameters:
///   - method: the full name, `io.leasehold.Supervisor.GetChild`.
///   - parameters: the parameters.
///   - more: whether to take more replies than one.
///   - oneway: whether to take none.
public func callMessage(
    method: String, parameters: JSON.Object = JSON.Object(), more: Bool = false, oneway: Bool = false
) -> [UInt8] {
    var envelope: [(String, JSON?)] = [("method", .string(method)), ("parameters", .object(parameters))]
    if more { envelope.append(("more", true)) }
    if oneway { envelope.append(("oneway", true)) }
    return JSON.Object(fields: envelope).message()
}

/// A reply as a client reads it.
public struct ReplyMessage: Sendable, Equatable {
    /// What the method returned.
    public var parameters: JSON.Object
    /// Whether another reply to the same call comes.
    public var continues: Bool

    /// Reads a reply.
    ///
    /// - Parameter bytes: the message without its NUL.
    /// - Throws: ``ReplyError``, which is also how an error reply comes.
    public init(message bytes: [UInt8]) throws(ReplyError) {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch { throw .notAReply(why: error.description) }
        guard case .object(let envelope) = json else { throw .notAReply(why: "not a JSON object") }
        let fields = WireFields(envelope)
        let name: String?
        do {
            parameters = try fields.optionalObject("parameters") ?? JSON.Object()
            continues = try fields.optionalBool("continues") ?? false
            name = try fields.optionalString("error")
        } catch {
            throw .notAReply(why: error.description)
        }
        if let name { throw .refused(ControlError(name: name, parameters: parameters)) }
    }

    /// Reads one of the parameters.
    ///
    /// - Throws: ``WireError`` where it is missing or of another type.
    public func value<Value: WireValue>(_ name: String, as type: Value.Type = Value.self) throws(WireError) -> Value {
        try WireFields(parameters).value(name, type)
    }

    /// Reads one of the parameters, nil where it is null or left out.
    ///
    /// - Throws: ``WireError`` where it is of another type.
    public func optionalValue<Value: WireValue>(
        _ name: String, as type: Value.Type = Value.self
    ) throws(WireError) -> Value? {
        try WireFields(parameters).optionalValue(name, type)
    }

    /// Reads one of the parameters that is an array.
    ///
    /// - Throws: ``WireError`` where it is missing or of another type.
    public func values<Value: WireValue>(_ name: String, as type: Value.Type = Value.self) throws(WireError) -> [Value]
    {
        try WireFields(parameters).values(name, type)
    }

    /// Reads `GetChild`'s answer.
    ///
    /// - Throws: ``WireError`` where it is missing, or no process has such a number.
    public func childPid() throws(WireError) -> Int32 {
        try WireFields(parameters).integer("pid", from: 1)
    }

    /// Reads a migration's ticket.
    ///
    /// - Throws: ``WireError`` where it is missing or no object.
    public func ticket() throws(WireError) -> JSON {
        guard let ticket = try WireFields(parameters).optionalObject("ticket") else {
            throw WireError(field: "ticket", expected: "an object")
        }
        return .object(ticket)
    }
}

/// What a client gets instead of what it asked for.
public enum ReplyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No varlink reply at all: close the connection.
    case notAReply(why: String)
    /// The error that the call was answered with.
    case refused(ControlError)

    /// One line for people.
    public var description: String {
        switch self {
        case .notAReply(let why): "the supervisor's answer can't be read: \(why)"
        case .refused(let error): error.message
        }
    }
}
