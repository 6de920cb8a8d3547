import Foundation
import Synchronization

/// Reads descriptors to their end on a thread of its own, so that no program blocks on a full pipe.
final class Collector: Sendable {
    private struct Stream {
        var data = Data()
        var endedNanoseconds: UInt64?
    }

    private let streams: Mutex<[Stream]>
    private let stopPipe: (readEnd: Int32, writeEnd: Int32)
    private let isStopped = Mutex(false)

    /// Owns the descriptors from now on; nil is a stream without content.
    init(adopting descriptors: [Int32?]) throws {
        streams = Mutex(
            descriptors.map { Stream(endedNanoseconds: $0 == nil ? 0 : nil) })
        stopPipe = try makePipe()
        let thread = Thread { [self] in collect(descriptors) }
        thread.stackSize = 256 * 1024
        thread.start()
    }

    func data(_ index: Int) -> Data { streams.withLock { $0[index].data } }

    func endedNanoseconds(_ index: Int) -> UInt64? { streams.withLock { $0[index].endedNanoseconds } }

    /// Stops reading, also where somebody still holds the other end.
    func stop() {
        isStopped.withLock { isStopped in
            if !isStopped { close(stopPipe.writeEnd) }
            isStopped = true
        }
    }

    private func collect(_ descriptors: [Int32?]) {
        var waiting = descriptors.map { pollfd(fd: $0 ?? -1, events: Int16(POLLIN), revents: 0) }
        waiting.append(pollfd(fd: stopPipe.readEnd, events: Int16(POLLIN), revents: 0))
        let stopIndex = waiting.count - 1
        var buffer = [UInt8](repeating: 0, count: 65536)
        while waiting.dropLast().contains(where: { $0.fd >= 0 }) {
            guard poll(&waiting, nfds_t(waiting.count), -1) >= 0 else { continue }
            for index in 0..<stopIndex where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                let length = read(waiting[index].fd, &buffer, buffer.count)
                if length < 0 && (errno == EINTR || errno == EAGAIN) { continue }
                if length > 0 {
                    streams.withLock { $0[index].data.append(contentsOf: buffer[..<length]) }
                } else {
                    // EIO is how a terminal says that nobody has it open any more.
                    close(waiting[index].fd)
                    waiting[index].fd = -1
                    streams.withLock { $0[index].endedNanoseconds = monotonicNanoseconds() }
                }
            }
            if waiting[stopIndex].revents != 0 { break }
        }
        for entry in waiting.dropLast() where entry.fd >= 0 { close(entry.fd) }
        close(stopPipe.readEnd)
        stop()
    }
}
