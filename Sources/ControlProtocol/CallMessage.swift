/// One varlink message from a client.
public struct CallMessage: Sendable, Equatable {
    /// What is called.
    public var call: Call
    /// Whether the caller takes more replies than one. Only ``Call/monitor`` gives them.
    public var more: Bool
    /// Whether the caller takes no reply, not even an error.
    public var oneway: Bool

    /// Makes a message of its parts.
    public init(call: Call, more: Bool = false, oneway: Bool = false) {
        self.call = call
        self.more = more
        self.oneway = oneway
    }

    /// The message as it is sent, with the NUL.
    public func message() -> [UInt8] {
        callMessage(method: call.method, parameters: call.parameters, more: more, oneway: oneway)
    }

    /// What a call may contain. Nobody asks for thousands of disks at once.
    static let limits = JSON.Limits(values: 1 << 14, readsNonFinite: true)

    /// Reads a message.
    ///
    /// - Parameter bytes: the message without its NUL.
    /// - Throws: ``CallError``, which says whether to answer or to close the connection.
    public init(message bytes: [UInt8]) throws(CallError) {
        let json: JSON
        do { json = try JSON(parsing: bytes, limits: CallMessage.limits) } catch {
            throw .notACall(why: error.description)
        }
        guard case .object(let envelope) = json else { throw .notACall(why: "not a JSON object") }
        let fields = WireFields(envelope)
        let method: String
        let parameters: JSON.Object
        do {
            method = try fields.string("method")
            parameters = try fields.optionalObject("parameters") ?? JSON.Object()
            more = try fields.optionalBool("more") ?? false
            oneway = try fields.optionalBool("oneway") ?? false
            // Asked for and not done: a reply without "upgraded" says so.
            _ = try fields.optionalBool("upgrade")
        } catch {
            throw .notACall(why: error.description)
        }
        guard !(more && oneway) else { throw .notACall(why: "asks for more replies and for none") }
        do {
            call = try Call(method: method, parameters: parameters)
        } catch {
            throw .refused(error, oneway: oneway)
        }
    }
}

/// What to do with a message that isn't a call we can carry out.
public enum CallError: Error, Sendable, Equatable {
    /// No varlink call at all: close the connection.
    case notACall(why: String)
    /// A call for which there is only this error: answer it, unless `oneway`.
    case refused(ControlError, oneway: Bool)
}
