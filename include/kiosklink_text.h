/* kiosklink: what the codes of kiosklink.h mean, in English and in Chinese, UTF-8.
 *
 * Nothing of this is in the library: a program that includes it has what it calls, and only that. lang is "zh", or anything
 * that begins with it ("zh_CN.UTF-8", as setlocale says it), for Chinese; anything else and NULL for English. The answer is
 * static and never NULL: "" for a number that this version does not know.
 *
 * Generated from src/codes.tsv; do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef KIOSKLINK_TEXT_H
#define KIOSKLINK_TEXT_H

#include "kiosklink.h"

#if defined(__GNUC__)
#define KL_TEXT_FUNCTION static __inline__ __attribute__((__unused__))
#else
#define KL_TEXT_FUNCTION static
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What a status means. */
KL_TEXT_FUNCTION const char *kl_status_text(kl_status value, const char *lang) {
  const int zh = lang != NULL && lang[0] == 'z' && lang[1] == 'h';
  switch (value) {
    case KL_OK:
      return zh ? "成功。"
                : "It worked.";
    case KL_E_NULL:
      return zh ? "不能为 NULL 的指针为 NULL。"
                : "A pointer that must not be NULL is NULL.";
    case KL_E_ARGUMENT:
      return zh ? "参数超出范围或格式不对；错误消息指出是哪个。"
                : "An argument is out of its range or has the wrong format; the message names it.";
    case KL_E_UTF8:
      return zh ? "文本不是有效的 UTF-8。"
                : "A text is not valid UTF-8.";
    case KL_E_HANDLE:
      return zh ? "句柄已释放、类型不对，或从来不是句柄。"
                : "The handle was freed, is of another kind, or never was one.";
    case KL_E_FORKED:
      return zh ? "句柄是在 fork 之前建立的，属于父进程。"
                : "The handle was made before a fork and belongs to the parent process.";
    case KL_E_RETIRED:
      return zh ? "发生内部错误后，这个客户端已停用。"
                : "The client was retired after an internal error.";
    case KL_E_INTERNAL:
      return zh ? "捕获到 kiosklink 的一个缺陷。出错的客户端已停用，其他的照常工作。"
                : "A bug in kiosklink was caught. The client it happened in is retired; others go on.";
    case KL_E_UNSUPPORTED:
      return zh ? "平台没有这项功能，或平台说不认识这个方法；没有发送任何数据。"
                : "The platform has no such call; nothing was sent. Or the platform says that it does not know the method.";
    case KL_E_BUSY:
      return zh ? "现在不行，没有发送任何数据。同一扇门、同一个码或同一张订单有另一条命令正在执行，错误消息指出是哪条；或正在为同一个柜子制作取货码；或回调连接上有事件等着应答，或同一回调正在另一个连接上处理；或在日志回调函数里调用了 kl_set_log；或任务已达上限。"
                : "Not now, and nothing was sent. Another command is under way at the same door, for the same code or for the same order; the message names it. Or codes are being made for the same cabinet. Or an event of the callback connection waits for its reply, or the same callback does on another connection. Or kl_set_log was called inside the log callback. Or as many jobs as may be wait, run, or were not taken.";
    case KL_E_RESOURCE:
      return zh ? "系统不给内存、线程或文件描述符；或者存活的句柄超过 131072 个。"
                : "The system refused memory, a thread or a file descriptor; or more than 131072 handles are alive.";
    case KL_E_PLATFORM_NAME:
      return zh ? "没有这个平台；错误消息给出最接近的名称。"
                : "No such platform; the message suggests the nearest.";
    case KL_E_CONFIG_KEY:
      return zh ? "没有这个设置项；错误消息给出最接近的名称。"
                : "No such key; the message suggests the nearest.";
    case KL_E_CONFIG_VALUE:
      return zh ? "设置项的值格式不对。"
                : "The value of a key does not have its format.";
    case KL_E_CONFIG_MISSING:
      return zh ? "缺少这个平台或这次调用需要的设置项。执行命令需要 state_dir。"
                : "A key that this platform or this call needs is not set. Commands need state_dir.";
    case KL_E_CONFIG_FILE:
      return zh ? "账号 JSON 文件读不了、格式不对，或没有这个账号。"
                : "The JSON file of accounts cannot be read, does not have its format, or has no such account.";
    case KL_E_ROOTS:
      return zh ? "CA 根证书读不了、解析不了，或一个也没有。"
                : "The CA roots cannot be read, do not parse, or are none.";
    case KL_E_CLIENT_CERT:
      return zh ? "客户端证书或私钥读不了、解析不了，或两者不匹配。"
                : "The client certificate or its key cannot be read, does not parse, or the two do not match.";
    case KL_E_CANCELLED:
      return zh ? "被 kl_client_cancel 或 kl_client_free 取消。如果是命令：未执行，也没有出错。"
                : "Ended by kl_client_cancel or kl_client_free. As the status of a command: it is not done, and nothing failed.";
    case KL_E_DNS:
      return zh ? "平台的域名解析不到地址。"
                : "The platform's name has no address.";
    case KL_E_CONNECT:
      return zh ? "连接不上：被拒绝、网络不可达，或建立时被重置。"
                : "No connection: refused, unreachable, or reset while it was made.";
    case KL_E_LOST:
      return zh ? "应答没收完，连接就断了。"
                : "The connection ended before the answer was whole.";
    case KL_E_PROXY:
      return zh ? "代理拒绝了，或应答无法理解。"
                : "The proxy refused or answered nonsense.";
    case KL_E_TIMEOUT_DNS:
      return zh ? "截止时间到了，域名还没解析完。"
                : "The deadline passed while the name was looked up.";
    case KL_E_TIMEOUT_CONNECT:
      return zh ? "截止时间到了，TCP 连接还没建立。"
                : "The deadline passed while the TCP connection was made.";
    case KL_E_TIMEOUT_TLS:
      return zh ? "截止时间到了，TLS 握手还没完成。"
                : "The deadline passed in the TLS handshake.";
    case KL_E_TIMEOUT_SEND:
      return zh ? "截止时间到了，请求还没发完。"
                : "The deadline passed while the request was sent.";
    case KL_E_TIMEOUT_REPLY:
      return zh ? "截止时间到了，应答还没收完。"
                : "The deadline passed before the answer was whole.";
    case KL_E_TLS:
      return zh ? "TLS 握手失败，原因没有单独的错误码。"
                : "The TLS handshake failed for a reason that has no code of its own.";
    case KL_E_TLS_UNTRUSTED:
      return zh ? "没有受信任的根证书为这个证书担保。"
                : "No trusted root vouches for the certificate.";
    case KL_E_TLS_EXPIRED:
      return zh ? "证书已过期。"
                : "The certificate has expired.";
    case KL_E_TLS_NOT_YET_VALID:
      return zh ? "证书尚未生效。"
                : "The certificate is not valid yet.";
    case KL_E_TLS_WRONG_NAME:
      return zh ? "证书是别的主机的。"
                : "The certificate is for another host.";
    case KL_E_TLS_PIN:
      return zh ? "证书链里没有固定的那个公钥。"
                : "No certificate of the chain has the pinned key.";
    case KL_E_TLS_CLIENT_CERT:
      return zh ? "服务器要客户端证书，或不接受我们的证书。"
                : "The server wants a client certificate, or does not accept ours.";
    case KL_E_CLOCK:
      return zh ? "设备时钟远远晚于证书的结束时间，又没有别的时间能证实。"
                : "The device's clock is far past the certificate's end and nothing confirms it.";
    case KL_E_HTTP:
      return zh ? "这个 HTTP 状态不是平台的应答：重定向、上网认证页面或服务器错误。"
                : "An HTTP status that is no answer of the platform: a redirect, a captive portal, a server error.";
    case KL_E_PROTOCOL:
      return zh ? "应答不是平台的格式；错误消息指出在哪里。"
                : "The answer is not in the platform's format; the message says where.";
    case KL_E_TOO_LARGE:
      return zh ? "应答大于 max_reply_bytes，或应答头大于 16 KiB。"
                : "The answer is larger than max_reply_bytes, or its head is larger than 16 KiB.";
    case KL_E_RATE_LIMIT:
      return zh ? "平台要求少调用一些。"
                : "The platform asks for fewer calls; see retry_after_ms.";
    case KL_E_PLATFORM:
      return zh ? "平台拒绝了，原因没有对应的错误码；见 platform_code 和 platform_message。"
                : "The platform refused for a reason that has no code here; see platform_code and platform_message.";
    case KL_E_AUTH:
      return zh ? "平台不接受凭据或签名。"
                : "The platform does not accept the credentials or the signature.";
    case KL_E_PERMISSION:
      return zh ? "账号没有这个接口的权限。"
                : "The account may not make this call.";
    case KL_E_NOT_FOUND:
      return zh ? "平台没有这个对象。"
                : "The platform knows no such thing.";
    case KL_E_PARAMETER:
      return zh ? "平台说有参数缺失或错误。"
                : "The platform says that a parameter is missing or wrong.";
    case KL_E_OFFLINE:
      return zh ? "平台联系不上柜子。"
                : "The platform cannot reach the cabinet.";
    case KL_E_NOT_READY:
      return zh ? "柜子或门正在使用，或暂停销售。"
                : "The cabinet or the door is in use, or not selling.";
    case KL_E_OUT_OF_STOCK:
      return zh ? "商品已售完。"
                : "Nothing left of the goods.";
    case KL_E_TIMESTAMP:
      return zh ? "签名里的时间超出平台允许的范围。应答带有时间的话已经学到，下次调用会使用。"
                : "The signature's time was outside the platform's window. If the answer carried a time, it has been learned and the next call uses it.";
    case KL_E_CODE_USED:
      return zh ? "取货码已经用过。未执行：证实是另一次请求用掉的。未知：可能就是这一次。"
                : "The pickup code was used before. Not done: another request is proved to have used it. Unknown: it may have been this one.";
    case KL_E_CODE_EXPIRED:
      return zh ? "取货码已过期。"
                : "The pickup code has expired.";
    case KL_E_ORDER_STATE:
      return zh ? "订单状态不允许：未付款、已过期、已关闭、已退款或已出货。"
                : "The order is in no state for this: unpaid, expired, closed, refunded, or delivered before.";
    case KL_E_ACCOUNT:
      return zh ? "账号本身已过期、未认证或已关闭，须由账号所有者处理。"
                : "The account itself is expired, not verified, or closed; its owner must act.";
    case KL_E_DUPLICATE:
      return zh ? "你自己的编号以前用过：对应的订单或取货码可能已经存在。"
                : "Your own number was used before: the order or code may exist already.";
    case KL_E_TOKEN:
      return zh ? "须由人更新凭据：店铺授权或用户的访问令牌已失效。"
                : "A person must renew the credentials: the shop's authorisation or the user's access token has ended.";
    case KL_E_CODE_TRIES:
      return zh ? "这个柜子短时间内输错码太多次（code_tries_per_minute）；没有发送也没有记录，未执行。"
                : "Too many wrong codes at this cabinet in a short time (code_tries_per_minute); nothing was sent or written, not done.";
    case KL_E_REQUEST_ID:
      return zh ? "这个 request_id 已用于另一个动作，或已确认为相反的结果；没有发送任何数据。"
                : "This request_id was already used for another act, or is settled the other way; nothing was sent.";
    case KL_E_STALE:
      return zh ? "命令还没能发送（send_within_ms）或任务还没开始（start_within_ms），有效期就过了；没有发送任何数据。"
                : "The command's time to live passed before it could be sent (also its send_within_ms), or a job's start_within_ms before it was begun; nothing was sent.";
    case KL_E_IN_FLIGHT:
      return zh ? "这个 request_id 的命令正在另一个线程或进程中执行，或者这个进程被当作已死，命令已由别的进程接管；这次没有发送任何数据。"
                : "The command with this request_id is under way on another thread or in another process; or this process was taken for dead and its command is in other hands. Nothing was sent this time.";
    case KL_E_UNSETTLED:
      return zh ? "命令的结果未知；这次没有发送任何数据。"
                : "What became of the command is not known; nothing was sent this time.";
    case KL_E_BLOCKED:
      return zh ? "同一扇门、同一个码或同一张订单的另一条命令结果未知，错误消息指出是哪条；没有发送任何数据，未执行。"
                : "What became of another command at the same door, for the same code or of the same order is not known; the message names it. Nothing was sent, not done.";
    case KL_E_PENDING:
      return zh ? "kl_command_wait：时间到了，还不知道机器做了什么。kl_task_next：还没有任务结束，但会有。"
                : "kl_command_wait: the time was up before it was known what the machine did. kl_task_next: no job has ended, and some will.";
    case KL_E_NOT_MOVED:
      return zh ? "平台接受了命令，但机器没有动作：门没有打开，或没有出货。"
                : "The platform took the command, but the machine did not do it: the door never opened, or nothing was pushed out.";
    case KL_E_UNKNOWABLE:
      return zh ? "平台从不报告机器的动作，或这条命令不带动任何东西。"
                : "The platform never reports what the machine did, or nothing moves by this command.";
    case KL_E_TOO_EARLY:
      return zh ? "现在确认未执行还太早：请求仍可能到达平台；剩余时间见 retry_after_ms。完成则随时可以确认。"
                : "Too early to say not done: the request may still reach the platform. retry_after_ms is the time left. Done is taken at any time.";
    case KL_E_REQUEST_TOO_OLD:
      return zh ? "这个名称由 kl_request_id_new 发出得太久，结果可能已不再保存；没有发送任何数据，未知。"
                : "kl_request_id_new issued this name so long ago that its outcome may have been forgotten; nothing was sent, unknown.";
    case KL_E_JOURNAL:
      return zh ? "日志读不了或写不了，见 os_errno；或这个进程因内部错误失去了它。没有发送任何数据。"
                : "The journal cannot be read or written, see os_errno; or this process lost it in an internal error. Nothing was sent.";
    case KL_E_JOURNAL_FULL:
      return zh ? "磁盘已满，或结果未知的命令占满了日志；没有发送任何数据。"
                : "The disk is full, or unsettled commands fill the journal; nothing was sent.";
    case KL_E_JOURNAL_READ_ONLY:
      return zh ? "日志所在的文件系统是只读的；没有发送任何数据。"
                : "The journal's file system is read-only; nothing was sent.";
    case KL_E_JOURNAL_OWNER:
      return zh ? "日志属于另一个用户；没有发送任何数据。"
                : "The journal belongs to another user; nothing was sent.";
    case KL_E_JOURNAL_VERSION:
      return zh ? "日志由另一个格式版本的库写成；没有发送任何数据。"
                : "A library with another format version wrote the journal; nothing was sent.";
    case KL_E_JOURNAL_DAMAGED:
      return zh ? "日志中间损坏；执行 kl_journal_repair 之前不发送任何命令。"
                : "The journal is damaged in its middle. Nothing is sent before kl_journal_repair.";
    case KL_E_JOURNAL_BUSY:
      return zh ? "另一个进程占着日志的锁不放；没有发送任何数据。"
                : "Another process holds the journal's lock and does not let go; nothing was sent.";
    case KL_E_JOURNAL_MISSING:
      return zh ? "日志不见了，但另有记录表明曾经有过；执行 kl_journal_adopt 之前不发送任何命令。"
                : "The journal is gone, but something beside it remembers that there was one. Nothing is sent before kl_journal_adopt.";
    case KL_E_JOURNAL_OLDER:
      return zh ? "日志比原来旧：是备份或旧存储卡；执行 kl_journal_adopt 之前不发送任何命令。"
                : "The journal is older than it was: a backup or an old card. Nothing is sent before kl_journal_adopt.";
    case KL_E_JOURNAL_COPIED:
      return zh ? "日志是在另一台机器上建立的：存储卡或目录是复制来的；执行 kl_journal_adopt 之前不发送任何命令。"
                : "The journal was made on another machine: a copied card or folder. Nothing is sent before kl_journal_adopt.";
    case KL_E_STATE_DIR:
      return zh ? "state_dir 不能保存日志：别的用户可以写入，或文件系统没有锁或不能同步。客户端没有建立。"
                : "state_dir cannot keep a journal: others can write to it, or its file system has no locks or no sync. There is no client.";
    case KL_E_KEPT:
      return zh ? "这次支付上报、退款或申诉还没有发出一个字节；库保存着它（send_within_ms），会自行发送。在那之前结果未知。"
                : "No byte of this payment report, refund or appeal could leave; the library keeps it (send_within_ms) and sends it by itself. Unknown until then.";
    case KL_E_EVENT_SIGNATURE:
      return zh ? "回调的签名错误或缺失。"
                : "The callback's signature is wrong or missing.";
    case KL_E_EVENT:
      return zh ? "回调不是平台的格式；错误消息指出在哪里。"
                : "The callback is not in the platform's format; the message says where.";
    case KL_E_EVENT_TIME:
      return zh ? "回调的时间戳太旧或太超前：友朋一天，其付款页 60 秒；有赞八天。"
                : "The callback's timestamp is too old or too far ahead: Yopoint a day, its payment pages 60 s; Youzan eight days.";
    default: return "";
  }
}

/** What the firmware, or the person at the device, does about a status. */
KL_TEXT_FUNCTION const char *kl_status_help(kl_status value, const char *lang) {
  const int zh = lang != NULL && lang[0] == 'z' && lang[1] == 'h';
  switch (value) {
    case KL_OK:
      return zh ? "继续。"
                : "Goes on.";
    case KL_E_NULL:
      return zh ? "程序有错；错误消息指出是哪个参数。"
                : "A bug in the program; the message names the parameter.";
    case KL_E_ARGUMENT:
      return zh ? "程序有错，或者没有检查外来的文本。"
                : "A bug in the program, or text from outside that was not checked.";
    case KL_E_UTF8:
      return zh ? "调用之前先转换（常见的是 GBK）。"
                : "Converts it (often GBK) before the call.";
    case KL_E_HANDLE:
      return zh ? "程序有错。"
                : "A bug in the program.";
    case KL_E_FORKED:
      return zh ? "子进程自己新建客户端。"
                : "The child makes its own client.";
    case KL_E_RETIRED:
      return zh ? "释放它，新建一个；先查清正在执行的命令。"
                : "Frees it and makes a new one; settles what was under way first.";
    case KL_E_INTERNAL:
      return zh ? "同上；请上报以 bug: 开头的那行日志。"
                : "As above, and reports the log line that begins with bug:.";
    case KL_E_UNSUPPORTED:
      return zh ? "在这个平台上不提供该功能。"
                : "Does not offer that function on this platform.";
    case KL_E_BUSY:
      return zh ? "命令：请顾客稍候，等另一次调用结束后再试。任务：先用 kl_task_next 取走已结束的。"
                : "A command: tells the customer to wait, and tries a moment later, when the other call has ended. Codes: makes them a moment later. kl_http_feed: without a step, it replies first; with one, it goes on: the platform comes again. kl_set_log: calls it elsewhere. Jobs: takes those that ended (kl_task_next).";
    case KL_E_RESOURCE:
      return zh ? "释放不用的资源；检查有没有从不释放的结果。"
                : "Frees what it does not need; looks for results that are never freed. What the result of an act needs is taken before it is sent.";
    case KL_E_PLATFORM_NAME:
      return zh ? "改正账号文件。"
                : "Corrects the accounts file.";
    case KL_E_CONFIG_KEY:
      return zh ? "改正账号文件。"
                : "Corrects the accounts file (settings.md).";
    case KL_E_CONFIG_VALUE:
      return zh ? "改正这个值；粘贴密钥时末尾常带空格。"
                : "Corrects the value; a space at its end is the usual fault of a pasted secret.";
    case KL_E_CONFIG_MISSING:
      return zh ? "补上这一项；错误消息指出是哪个。"
                : "Sets it; the message names it.";
    case KL_E_CONFIG_FILE:
      return zh ? "改正文件；读不了的原因见 os_errno。"
                : "Corrects the file; os_errno says why it cannot be read.";
    case KL_E_ROOTS:
      return zh ? "改正 ca_file 或 ca_pem；其中有一个坏证书就会这样。"
                : "Corrects ca_file or ca_pem; one broken certificate among them is enough.";
    case KL_E_CLIENT_CERT:
      return zh ? "改正这些文件；私钥不能加密。"
                : "Corrects the files; the key must not be encrypted.";
    case KL_E_CANCELLED:
      return zh ? "做取消之后该做的事；命令要看 outcome。"
                : "What it cancelled for. Looks at outcome of a command.";
    case KL_E_DNS:
      return zh ? "等网络恢复；一直如此就检查 base_url 和 DNS 设置。"
                : "Waits for the network; checks base_url and the resolver if it stays.";
    case KL_E_CONNECT:
      return zh ? "等网络恢复。"
                : "Waits for the network.";
    case KL_E_LOST:
      return zh ? "读取：稍后再试。命令：先查清楚。"
                : "A read: tries later. A command: finds out first.";
    case KL_E_PROXY:
      return zh ? "检查 proxy，特别是密码；代理连不上平台时（502 到 504）等一等。"
                : "Checks proxy, its password above all. Waits if the proxy does not reach the platform (502 to 504; the advice is then retry).";
    case KL_E_TIMEOUT_DNS:
      return zh ? "等网络恢复。"
                : "Waits for the network.";
    case KL_E_TIMEOUT_CONNECT:
      return zh ? "等网络恢复。"
                : "Waits for the network.";
    case KL_E_TIMEOUT_TLS:
      return zh ? "等网络恢复；总停在这里，可能是大包被丢弃（MTU）。"
                : "Waits for the network; a link that stalls here may drop large packets (MTU).";
    case KL_E_TIMEOUT_SEND:
      return zh ? "读取：稍后再试。命令：先查清楚。"
                : "A read: tries later. A command: finds out first.";
    case KL_E_TIMEOUT_REPLY:
      return zh ? "读取：稍后再试。命令：先查清楚。"
                : "A read: tries later. A command: finds out first.";
    case KL_E_TLS:
      return zh ? "检查地址和端口；上网认证页面也会这样。"
                : "Checks address and port; a captive portal answers like this.";
    case KL_E_TLS_UNTRUSTED:
      return zh ? "检查 ca_file；否则可能有人在中间冒充平台。"
                : "Checks ca_file; otherwise a possible man-in-the-middle.";
    case KL_E_TLS_EXPIRED:
      return zh ? "检查设备时钟，再问厂商。"
                : "Checks the device's clock, then asks the vendor.";
    case KL_E_TLS_NOT_YET_VALID:
      return zh ? "设置时钟。"
                : "Sets the clock (time.md).";
    case KL_E_TLS_WRONG_NAME:
      return zh ? "检查 base_url；上网认证页面也会这样。"
                : "Checks base_url; a captive portal answers like this.";
    case KL_E_TLS_PIN:
      return zh ? "厂商换了密钥就更新 pin_sha256；否则可能有人在中间冒充平台。"
                : "Updates pin_sha256 if the vendor changed its key; otherwise a possible man-in-the-middle.";
    case KL_E_TLS_CLIENT_CERT:
      return zh ? "安装或更换设备的证书。"
                : "Installs or renews the device's certificate.";
    case KL_E_CLOCK:
      return zh ? "设置时钟，或调用 kl_set_time。"
                : "Sets the clock, or calls kl_set_time (time.md).";
    case KL_E_HTTP:
      return zh ? "稍后再试；一直如此就检查 base_url。"
                : "Tries later; checks base_url if it stays.";
    case KL_E_PROTOCOL:
      return zh ? "保留错误消息：厂商改了接口，或中间有设备改写了应答。"
                : "Keeps the message: the vendor changed something, or something between rewrites answers.";
    case KL_E_TOO_LARGE:
      return zh ? "每页少取一些，或调大上限。"
                : "Asks for smaller pages, or raises the limit.";
    case KL_E_RATE_LIMIT:
      return zh ? "等 retry_after_ms；少调用一些。"
                : "Waits for retry_after_ms; calls less often.";
    case KL_E_PLATFORM:
      return zh ? "看平台的消息。命令：先查清楚。"
                : "Looks at the platform's message. A command: finds out first.";
    case KL_E_AUTH:
      return zh ? "改正 app_id 和密钥：用错了，或粘贴时带了空格。"
                : "Corrects app_id and secret: the wrong one, or a space pasted with it.";
    case KL_E_PERMISSION:
      return zh ? "在厂商后台勾选这个接口。"
                : "Has the method ticked in the vendor's console.";
    case KL_E_NOT_FOUND:
      return zh ? "改正编号，或当作已不存在。"
                : "Corrects the number, or treats it as gone.";
    case KL_E_PARAMETER:
      return zh ? "改正参数；缺的可以用 extra_json 补上。"
                : "Corrects it; extra_json can add what is missing.";
    case KL_E_OFFLINE:
      return zh ? "告诉顾客，检查柜子的网络。"
                : "Tells the customer, looks at the cabinet's link.";
    case KL_E_NOT_READY:
      return zh ? "请顾客稍候。"
                : "Tells the customer to wait.";
    case KL_E_OUT_OF_STOCK:
      return zh ? "告诉顾客。"
                : "Tells the customer.";
    case KL_E_TIMESTAMP:
      return zh ? "马上再试；读取已经自动重试过。"
                : "Tries again at once. Reads did so by themselves.";
    case KL_E_CODE_USED:
      return zh ? "未执行：告诉顾客。未知：先查清楚。"
                : "Not done: tells the customer. Unknown: finds out first.";
    case KL_E_CODE_EXPIRED:
      return zh ? "告诉顾客。"
                : "Tells the customer.";
    case KL_E_ORDER_STATE:
      return zh ? "用 kl_order_get 读取订单。"
                : "Reads the order with kl_order_get.";
    case KL_E_ACCOUNT:
      return zh ? "停止服务，通知运营人员。"
                : "Out of service; tells the operator.";
    case KL_E_DUPLICATE:
      return zh ? "查看已有的是不是自己的。"
                : "Looks whether it is its own.";
    case KL_E_TOKEN:
      return zh ? "停止服务，通知运营人员。"
                : "Out of service; tells the operator.";
    case KL_E_CODE_TRIES:
      return zh ? "显示还要等多久（retry_after_ms），之后再请顾客输入。"
                : "Shows for how long no code is taken: retry_after_ms. Asks for a code again after that.";
    case KL_E_REQUEST_ID:
      return zh ? "程序有错：一个顾客动作用一个名称。用 kl_command_get 查看记录。"
                : "A bug in the program: one name for one customer action. Reads what is recorded: kl_command_get.";
    case KL_E_STALE:
      return zh ? "问问顾客还在不在。"
                : "Asks whether the customer is still there.";
    case KL_E_IN_FLIGHT:
      return zh ? "等那个结果：kl_command_wait，或反复调用 kl_command_get 直到有结果。"
                : "Waits for that answer: kl_command_wait, or kl_command_get until it is settled.";
    case KL_E_UNSETTLED:
      return zh ? "查清楚：retry_after_ms 之后再次 kl_command_resolve，看门磁、订单、回调，或请人去看。"
                : "Finds out: kl_command_resolve again after retry_after_ms, door contact, order, callback, a person.";
    case KL_E_BLOCKED:
      return zh ? "有 retry_after_ms：只因为门，过后可接待下一位顾客。没有：对那条命令用 kl_command_resolve；还不行就凭传感器或人用 kl_command_settle 确认结果。"
                : "With retry_after_ms the door alone is the reason: it takes the next customer after that time. Without: kl_command_resolve for the one that is named; if that does not settle it, a sensor or a person and kl_command_settle.";
    case KL_E_PENDING:
      return zh ? "继续等，或去看门。命令本身的结果见 outcome。"
                : "Waits on, or looks at the door. The command itself is as outcome says.";
    case KL_E_NOT_MOVED:
      return zh ? "告诉顾客；不收款或退款。要再开门，用新的 request_id。"
                : "Tells the customer; pays nothing or gives back. Opens again under a new request_id.";
    case KL_E_UNKNOWABLE:
      return zh ? "靠门磁、出货传感器或人。"
                : "A door contact, a drop sensor, a person.";
    case KL_E_TOO_EARLY:
      return zh ? "retry_after_ms 之后再问传感器，按那时的结果确认。人若坚持提前确认：kl_command_overrule。"
                : "Asks the sensor again after retry_after_ms (mature_in_ms of the command), and settles by what it says then. A person who insists on it before that: kl_command_overrule.";
    case KL_E_REQUEST_TOO_OLD:
      return zh ? "查自己的记录。只有顾客重新操作，才用新名称开始新动作。不要让命令排队几周。"
                : "Looks at its own records. Begins a new act with a new name only if the customer acts anew. Does not keep commands in a queue for weeks.";
    case KL_E_JOURNAL:
      return zh ? "显示“暂停服务”；新建一次客户端。还是如此：磁盘快坏了。"
                : "Shows \"out of order\"; makes a new client once. If it stays: the disk is failing.";
    case KL_E_JOURNAL_FULL:
      return zh ? "腾出空间，或确认未决命令的结果。"
                : "Frees space, or settles what is pending.";
    case KL_E_JOURNAL_READ_ONLY:
      return zh ? "磁盘出错后系统会改为只读：检查磁盘。"
                : "The system remounts it so after a disk error: checks the disk.";
    case KL_E_JOURNAL_OWNER:
      return zh ? "以那个用户运行；不要再用 root 运行。"
                : "Runs as that user; never as root on top of it.";
    case KL_E_JOURNAL_VERSION:
      return zh ? "装回那个版本的库。"
                : "Installs that library again.";
    case KL_E_JOURNAL_DAMAGED:
      return zh ? "显示“暂停服务”。由人保留副本，查看磁盘和当时执行中的命令，再调用 kl_journal_repair。"
                : "Shows \"out of order\". A person keeps a copy, looks at the disk and at what was under way, then calls kl_journal_repair.";
    case KL_E_JOURNAL_BUSY:
      return zh ? "找被暂停的进程（SIGSTOP、调试器）。"
                : "Looks for a stopped process (SIGSTOP, a debugger).";
    case KL_E_JOURNAL_MISSING:
      return zh ? "显示“暂停服务”。由人找文件，查看当时执行中的命令，再决定：kl_journal_adopt。"
                : "Shows \"out of order\". A person looks for the file and at what was under way, then decides: kl_journal_adopt.";
    case KL_E_JOURNAL_OLDER:
      return zh ? "同上。有较新的存储卡就换回去。"
                : "As above. Puts the newer card back if there is one.";
    case KL_E_JOURNAL_COPIED:
      return zh ? "同上。两台机器绝不能共用：kl_journal_adopt 之后这台有自己的编号。"
                : "As above. Two machines must never share one: after kl_journal_adopt this one has numbers of its own.";
    case KL_E_STATE_DIR:
      return zh ? "给它一个断电不丢的磁盘上的专用目录（chmod go-w）。vfat：仅当没有别人能写入时用 state_dir_shared=yes。"
                : "Gives it a folder of its own (chmod go-w) on a disk that survives a power cut. vfat: state_dir_shared=yes, and only if nobody else can write there.";
    case KL_E_KEPT:
      return zh ? "什么也不用做。不要换名称重发；kl_command_get 和 kl_visit_list 会给出结果。要撤回：用 kl_command_settle 确认为未执行。"
                : "Nothing. It does not repeat it under another name; kl_command_get and kl_visit_list say what became of it. To withdraw it: kl_command_settle with not done.";
    case KL_E_EVENT_SIGNATURE:
      return zh ? "应答 HTTP 403，什么也不做。"
                : "Answers HTTP 403 and does nothing.";
    case KL_E_EVENT:
      return zh ? "应答 HTTP 400，保留错误消息。"
                : "Answers HTTP 400 and keeps the message.";
    case KL_E_EVENT_TIME:
      return zh ? "应答 HTTP 403；检查时钟。"
                : "Answers HTTP 403; checks the clock.";
    default: return "";
  }
}

/** What an outcome means. */
KL_TEXT_FUNCTION const char *kl_outcome_text(kl_outcome value, const char *lang) {
  const int zh = lang != NULL && lang[0] == 'z' && lang[1] == 'h';
  switch (value) {
    case KL_DONE:
      return zh ? "完成：平台接受了命令。"
                : "Done: the platform took the command.";
    case KL_NOT_DONE:
      return zh ? "未执行：没有发生，以后也不会发生。"
                : "Not done: it did not happen and will not.";
    case KL_UNKNOWN:
      return zh ? "未知：可能已经发生。"
                : "Unknown: it may have happened.";
    default: return "";
  }
}

/** What an advice means. */
KL_TEXT_FUNCTION const char *kl_advice_text(kl_advice value, const char *lang) {
  const int zh = lang != NULL && lang[0] == 'z' && lang[1] == 'h';
  switch (value) {
    case KL_ADVICE_NONE:
      return zh ? "没有特别的建议。"
                : "Nothing in particular.";
    case KL_ADVICE_RETRY:
      return zh ? "可以放心再试。"
                : "Trying again is safe.";
    case KL_ADVICE_ASK_FIRST:
      return zh ? "先查清结果，再做别的。"
                : "Find out what became of it before anything else.";
    case KL_ADVICE_CALL_PERSON:
      return zh ? "再问也没有用：由人或传感器决定。"
                : "Asking again will not help: a person or a sensor decides.";
    case KL_ADVICE_FIX:
      return zh ? "再试没有用：须改正设置、凭据、参数或程序。"
                : "Trying again will not help: a setting, a credential, a parameter or the program must change.";
    default: return "";
  }
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  /* KIOSKLINK_TEXT_H */
