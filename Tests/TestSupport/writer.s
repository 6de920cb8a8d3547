# The boot sector of the guest that writes (WriterGuest.swift holds its bytes). 16-bit, run by the BIOS at 0000:7c00.
#
# Many times a second it reads sector 1 of the second disk, tells on the debug console (port 0xe9) where the last who
# wrote there was another, or was one like itself that runs beside it: then the number is not the one that it wrote last. It
# writes its own identity and a number that grows there. The same write reaches the sector before it (identity 2) or behind it
# (identity 1), which is that guest's alone: so no write of one hides the other's.
#
# A sector that was written: "LHW1", identity, number; each 4 bytes, the numbers least byte first.
#
# To make the bytes anew:
#   as --32 -o writer.o writer.s && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -e start -o writer.bin writer.o
#   xxd -p -c 56 writer.bin
    .code16
    .intel_syntax noprefix
    .set buffer, 0x8000
    .set magic, 0x3157484c              # "LHW1"

    .globl start
start:
    jmp begin
    .org 4
identity:
    .long 1                             # patched
divisor:
    .long 11932                         # patched: 1193182 Hz / 100
number:
    .long 0

# What int 13h wants to know: how many sectors, where the buffer is, which sector of the disk.
read_packet:
    .byte 16, 0
    .word 1, buffer, 0
    .long 1, 0
write_packet:
    .byte 16, 0
    .word 2, buffer, 0
write_block:
    .long 0, 0

begin:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld
    mov al, 0x34                        # timer 0, rate generator
    out 0x43, al
    mov ax, [divisor]
    out 0x40, al
    mov al, ah
    out 0x40, al
    cmp dword ptr [identity], 1
    jne 1f
    inc dword ptr [write_block]
1:  mov si, offset started
    call print

again:
    sti
    hlt                                 # until the timer's next interrupt: no processor time is burned
    mov ah, 0x42
    mov si, offset read_packet
    call transfer
    jc failed
    cmp dword ptr [buffer], magic
    jne write
    mov eax, [buffer + 4]
    cmp eax, [identity]
    jne tell
    mov ecx, [number]
    jecxz write                         # at its start
    cmp ecx, [buffer + 8]
    je write
tell:
    mov si, offset sees
    call print_number
    mov eax, [buffer + 8]
    mov si, offset at_number
    call print_number
    mov eax, [number]
    mov si, offset own_number
    call print_number
    call print_end

write:
    inc dword ptr [number]
    mov di, offset buffer
    call fill
    mov di, offset buffer + 512
    call fill
    mov ah, 0x43
    mov si, offset write_packet
    call transfer
    jnc again

failed:
    movzx eax, ah
    mov si, offset fails
    call print_number
    call print_end
    jmp again

# Fills the sector at di.
fill:
    mov eax, magic
    stosd
    mov eax, [identity]
    stosd
    mov eax, [number]
    stosd
    ret

# Reads (ah = 42h) or writes (43h) as the packet at si says. Carry: it failed, and ah says why.
transfer:
    xor al, al
    mov dl, 0x81
    int 0x13
    ret

# Writes the text at si, which ends in 0.
print:
    lodsb
    test al, al
    jz 1f
    out 0xe9, al
    jmp print
1:  ret

# Writes the text at si, then eax in eight hexadecimal digits.
print_number:
    push eax
    call print
    pop eax
    mov cx, 8
2:  rol eax, 4
    push eax
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe 3f
    add al, 'a' - '0' - 10
3:  out 0xe9, al
    pop eax
    loop 2b
    ret

print_end:
    mov al, 10
    out 0xe9, al
    ret

started:    .asciz "started\n"
sees:       .asciz "sees "
at_number:  .asciz " at "
own_number: .asciz " own "
fails:      .asciz "error "

    .org 510
    .byte 0x55, 0xaa
