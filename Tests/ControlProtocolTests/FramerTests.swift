import TestSupport
import Testing

@testable import ControlProtocol

@Suite struct FramerTests {
    @Test func messagesAreTheSameHoweverTheStreamIsCut() throws {
        let stream = Array("{\"a\":1}\0\0second\0{}\0".utf8)
        let whole = ["{\"a\":1}", "", "second", "{}"]
        for first in 0...stream.count {
            for second in first...stream.count {
                var framer = Framer()
                var messages: [String] = []
                for part in [stream[..<first], stream[first..<second], stream[second...]] {
                    framer.append(Array(part))
                    while let message = try framer.next() { messages.append(String(decoding: message, as: UTF8.self)) }
                }
                #expect(messages == whole, "cut at \(first) and \(second)")
                #expect(!framer.hasPartialMessage)
            }
        }
    }

    @Test func rawBuffersAreTakenToo() throws {
        var framer = Framer()
        [UInt8]("ab\0c".utf8).withUnsafeBytes { framer.append($0) }
        #expect(try framer.next() == Array("ab".utf8))
        #expect(try framer.next() == nil)
        #expect(framer.hasPartialMessage)
    }

    @Test func aMessageAsLongAsTheLimitPassesAndALongerOneEndsTheStream() throws {
        var framer = Framer(limitBytes: 4)
        framer.append(Array("four\0".utf8))
        #expect(try framer.next() == Array("four".utf8))
        framer.append(Array("ok\0five5\0ok\0".utf8))
        #expect(try framer.next() == Array("ok".utf8))
        #expect(throws: FramerError.messageTooLong(limitBytes: 4)) { try framer.next() }
        framer.append(Array("ok\0".utf8))
        #expect(throws: FramerError.messageTooLong(limitBytes: 4)) { try framer.next() }
    }

    @Test func aMessageTooLongIsRefusedBeforeItsEnd() throws {
        var framer = Framer()
        framer.append([UInt8](repeating: 0x20, count: Framer.longestCallBytes))
        #expect(try framer.next() == nil)
        framer.append([0x20])
        #expect(throws: FramerError.messageTooLong(limitBytes: 256 << 10)) { try framer.next() }
        #expect(!framer.hasPartialMessage)
    }

    /// Looking at all of it again each time would take much longer than the limit.
    @Test func aMessageThatComesByteByByteIsLookedAtOnce() throws {
        var framer = Framer(limitBytes: 1 << 20)
        let seconds = try processorSeconds {
            for _ in 0..<(1 << 19) {
                framer.append([0x20])
                if try framer.next() != nil { Issue.record("a message without its end") }
            }
        }
        #expect(seconds < 60)
        framer.append([0])
        #expect(try framer.next()?.count == 1 << 19)
    }

    /// Moving the rest down for each message would take much longer than the limit.
    @Test func manySmallMessagesInOneBurstTakeLinearTime() throws {
        var framer = Framer()
        framer.append([UInt8](repeating: 0, count: 1 << 22) + [0x20])
        var count = 0
        let seconds = try processorSeconds { while try framer.next() != nil { count += 1 } }
        #expect(seconds < 60)
        #expect(count == 1 << 22)
        #expect(framer.hasPartialMessage)
    }
}
